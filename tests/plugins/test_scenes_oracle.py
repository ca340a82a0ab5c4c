"""The shipped oracles: their cards measured again, their files guarded, their training resumable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_scenes import factors, heldout, oracle, train_oracle
from gdbench_scenes.factors import FACTORS
from gdbench_scenes.oracle import Which, load, paths
from gdbench_scenes.render import render, sample_factors
from torch.nn.functional import interpolate

from gdbench import IntegrityError, MissingFile, Stream, load_domain

CPU = torch.device("cpu")
BOTH: tuple[Which, ...] = ("a", "b")


def card(which: Which) -> dict:
    return json.loads(paths(which)[1].read_text())


@pytest.mark.parametrize("which", BOTH)
def test_card_figures_are_those_of_the_shipped_file(which: Which) -> None:
    measured = heldout.held_out(load(which, CPU), 1000, np.random.default_rng(2024))
    stated = card(which)["held_out"]
    for name, value in measured.items():
        assert value == pytest.approx(stated[name], abs=0.015), name


@pytest.mark.parametrize("which", BOTH)
def test_passed_follows_from_the_figures(which: Which) -> None:
    stated = card(which)
    names = {factor.name for factor in FACTORS} | {"mask"}
    assert stated["held_out"]["renders"] >= 5000
    assert stated["passed"] == {name: stated["held_out"][name] >= stated["held_out"]["bar"] for name in names}
    assert load(which, CPU).passed == {factor.name: stated["passed"][factor.name] for factor in FACTORS}


@pytest.mark.parametrize("which", BOTH)
def test_shuffled_truth_is_not_read(which: Which) -> None:
    scenes = sample_factors(500, np.random.default_rng(5))
    read = load(which, CPU).read(torch.from_numpy(render(scenes)[0]))
    shuffled = {name: values.roll(1, 0) for name, values in factors.truth(scenes).items()}
    for factor in FACTORS:
        assert heldout.score(factor, read, shuffled) < 0.4


def test_the_oracles_differ_in_build_and_agree_on_scenes() -> None:
    a, b = load("a", CPU), load("b", CPU)
    assert type(a.network) is not type(b.network)
    images = torch.from_numpy(render(sample_factors(400, np.random.default_rng(6)))[0])
    read_a, read_b = a.read(images), b.read(images)
    assert (read_a["shape"].argmax(1) == read_b["shape"].argmax(1)).float().mean() > 0.97
    assert torch.corrcoef(torch.stack([read_a["x"], read_b["x"]]))[0, 1] > 0.98


@pytest.mark.parametrize("which", BOTH)
def test_outputs_have_the_shapes_and_ranges_of_the_protocol(which: Which) -> None:
    reader = load(which, CPU)
    images = torch.from_numpy(render(sample_factors(10, np.random.default_rng(7)))[0])
    read = reader.read(images)
    assert list(read) == [factor.name for factor in FACTORS]
    torch.testing.assert_close(read["shape"].sum(1), torch.ones(10))
    for factor in FACTORS:
        if factor.kind == "circular":
            assert ((read[factor.name] >= 0) & (read[factor.name] <= 1)).all()
    maps, pooled = reader.embed(images)
    assert [tuple(layer.shape[2:]) for layer in maps] == [(16, 16), (8, 8), (4, 4)]
    assert pooled.shape == (10, oracle.FEATURES)
    assert reader.mask(images).shape == (10, 32, 32)
    assert not any(parameter.requires_grad for parameter in reader.network.parameters())


def test_texture_is_read_as_none_on_white_so_that_no_phase_is_claimed() -> None:
    scenes = sample_factors(300, np.random.default_rng(8))
    scenes.presence[:] = 0
    images = torch.from_numpy(render(scenes)[0])
    for which in BOTH:
        assert (load(which, CPU).read(images)["texture"] < factors.TEXTURE_VISIBLE).float().mean() > 0.95


def test_loading_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    load("a", CPU)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("which", ["a", "b"])
def test_pictures_of_twice_the_size_read_as_those_of_half_of_it(which: Which) -> None:
    images = load_domain("scenes").images(16, Stream(0, "test").at())
    large = interpolate(images, scale_factor=2, mode="nearest")
    seen, again = load(which, CPU).read(images), load(which, CPU).read(large)
    assert float((seen["x"] - again["x"]).abs().mean()) < 0.05


def test_changed_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    for file in paths("a"):
        shutil.copy(file, tmp_path)
    weights = paths("a", tmp_path)[0]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IntegrityError, match="sha256 differs") as refusal:
        load("a", CPU, tmp_path)
    assert "\n" not in str(refusal.value)


def test_missing_weights_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="train_oracle --which b makes it"):
        load("b", CPU, tmp_path)


def test_decode_inverts_the_code_of_the_truth() -> None:
    scenes = sample_factors(200, np.random.default_rng(9))
    true = factors.truth(scenes)
    one_hot = torch.nn.functional.one_hot(true["shape"]).float() * 100
    parts = [one_hot if f.kind == "class" else train_oracle.encoded(f.name, true[f.name]) for f in FACTORS]
    read = factors.decode(torch.cat(parts, 1))
    assert torch.equal(read["shape"].argmax(1), true["shape"])
    for factor in FACTORS:
        if factor.kind != "class":
            torch.testing.assert_close(read[factor.name], true[factor.name], atol=1e-5, rtol=0)


def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    stream = Stream(0, "test")
    whole, first, second = (train_oracle.start("b", stream) for _ in range(3))
    for step in range(2):
        train_oracle.advance(whole, stream.at(step), 0.5)
    train_oracle.advance(first, stream.at(0), 0.5)
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    train_oracle.advance(second, stream.at(1), 0.5)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name])
        assert torch.equal(whole.average[name], second.average[name])


def test_the_budget_counts_what_earlier_attempts_spent(tmp_path: Path) -> None:
    earlier = train_oracle.start("b", Stream(5, "test"))
    earlier.step, earlier.seconds = 7, 100.0
    earlier.save(tmp_path / "state")
    later = train_oracle.train("b", 100.0, tmp_path / "state")
    assert (later.step, later.seconds) == (7, 100.0)
    assert torch.equal(later.network.code.weight, earlier.network.code.weight)
