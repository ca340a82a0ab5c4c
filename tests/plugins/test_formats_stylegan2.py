"""Files in every official StyleGAN2 layout must be recognised and render what the layout's own formulas give."""

from __future__ import annotations

import argparse
import pickle
import sys
from pathlib import Path

import pytest
import torch
from gdbench_stylegan2.formats import W_AVG_CODES, convert, recognise
from gdbench_stylegan2.networks import Generator, Noise, infer_config
from gdbench_stylegan2.official import OFFICIAL
from torch import Tensor, nn

from gdbench import UsageError
from gdbench.specs import NAME
from tests.plugins.writers_stylegan2 import (
    LAYOUTS,
    Dice,
    Layout,
    Reference,
    Sizes,
    genforce,
    module,
    network,
    nvidia_modules,
    rosinality,
)

TABLE = {
    "8 px": Sizes((6, 4)),
    "32 px, deep mapping": Sizes((12, 10, 6, 4), mapping=8),
    "64 px, wide w": Sizes((6, 6, 5, 4, 3), z_dim=5, w_dim=9, mapping=2),
    "grey": Sizes((6, 4), channels=1),
}
NVIDIA = LAYOUTS[2:]


def rendered(path: Path, z: Tensor, labels: Tensor | None = None, noise: Noise = "const") -> Tensor:
    tensors, facts = convert(path)
    facts.pop("notes")
    network = Generator(infer_config(tensors, **facts))
    network.load_state_dict(tensors)
    with torch.no_grad():
        return network(z, labels, noise)


def assert_equal_images(images: Tensor, reference: Tensor) -> None:
    span = reference.max() - reference.min()
    assert images.shape == reference.shape
    assert (images.double() - reference).abs().max() < 1e-5 * span


@pytest.mark.parametrize("sizes", TABLE.values(), ids=TABLE.keys())
@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
def test_every_layout_renders_as_its_formulas_say(layout: Layout, sizes: Sizes, tmp_path: Path) -> None:
    made = layout.write(tmp_path / "weights.bin", sizes)
    z = Dice(1)(3, sizes.z_dim)
    assert recognise(tmp_path / "weights.bin") == layout.name
    assert_equal_images(rendered(tmp_path / "weights.bin", z), made.render(z))


@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
def test_the_mean_w_is_kept(layout: Layout, tmp_path: Path) -> None:
    made = layout.write(tmp_path / "weights", Sizes())
    assert made.w_avg is not None
    assert torch.equal(convert(tmp_path / "weights")[0]["mapping.w_avg"], made.w_avg)
    assert convert(tmp_path / "weights")[1]["notes"] == []


@pytest.mark.parametrize("layout", NVIDIA, ids=range(len(NVIDIA)))
def test_conditional_files(layout: Layout, tmp_path: Path) -> None:
    sizes = Sizes(classes=4)
    made = layout.write(tmp_path / "weights", sizes)
    z, labels = Dice(1)(4, sizes.z_dim), torch.eye(4)
    assert_equal_images(rendered(tmp_path / "weights", z, labels), made.render(z, labels))


@pytest.mark.parametrize("layout", NVIDIA, ids=range(len(NVIDIA)))
def test_the_clamp_of_a_file_acts(layout: Layout, tmp_path: Path) -> None:
    sizes = Sizes(clamp=0.7)
    made = layout.write(tmp_path / "weights", sizes)
    z = Dice(1)(2, sizes.z_dim)
    assert convert(tmp_path / "weights")[1]["conv_clamp"] == 0.7
    assert_equal_images(rendered(tmp_path / "weights", z), made.render(z))


def test_the_learning_rate_multiplier_of_a_file_acts(tmp_path: Path) -> None:
    sizes = Sizes(lr=0.1)
    made = NVIDIA[0].write(tmp_path / "weights", sizes)
    z = Dice(1)(2, sizes.z_dim)
    assert_equal_images(rendered(tmp_path / "weights", z), made.render(z))


@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
def test_files_without_noise_render_without(layout: Layout, tmp_path: Path) -> None:
    sizes = Sizes(noise=False)
    made = layout.write(tmp_path / "weights", sizes)
    z = Dice(1)(2, sizes.z_dim)
    assert_equal_images(rendered(tmp_path / "weights", z, noise="none"), made.render(z))
    assert "without noise" in convert(tmp_path / "weights")[1]["notes"][0]


def test_a_file_without_maps_keeps_its_strengths_for_maps_that_are_given(tmp_path: Path) -> None:
    content, made = rosinality(Sizes())
    maps = [content["g_ema"].pop(name) for name in list(content["g_ema"]) if name.startswith("noises.")]
    torch.save(content, tmp_path / "weights.pt")
    z = Dice(1)(2, 8)
    assert_equal_images(rendered(tmp_path / "weights.pt", z, noise="none"), made.render(z, noise=False))
    assert_equal_images(rendered(tmp_path / "weights.pt", z, noise=maps), made.render(z))


def _dead_channels(made: Reference) -> None:
    for layer in made.convs:
        layer.weight[0] *= 1e-4


def test_the_epsilon_of_demodulation_acts_as_in_the_format(tmp_path: Path) -> None:
    sizes = Sizes()
    for make in (rosinality, genforce):
        content, made = make(sizes)
        _dead_channels(made)
        torch.save(content, tmp_path / "weights.pt")
        z = Dice(1)(2, sizes.z_dim)
        assert_equal_images(rendered(tmp_path / "weights.pt", z), made.render(z))


def test_a_training_file_of_rosinality_gets_an_estimated_mean(tmp_path: Path) -> None:
    content, made = rosinality(Sizes())
    content = {"g": {}, "g_ema": content["g_ema"], "args": argparse.Namespace(size=16), "ada_aug_p": 0.0}
    torch.save(content, tmp_path / "550000.pt")
    tensors, facts = convert(tmp_path / "550000.pt")
    w = made.map(Dice(5)(20_000, 8))
    standard_error = w.std(0) / W_AVG_CODES**0.5
    assert ((tensors["mapping.w_avg"] - w.mean(0)).abs() < 5 * standard_error).all()
    assert "Philox(0)" in facts["notes"][0]
    assert torch.equal(tensors["mapping.w_avg"], convert(tmp_path / "550000.pt")[0]["mapping.w_avg"])


def test_flat_and_data_parallel_state_dicts(tmp_path: Path) -> None:
    content, made = rosinality(Sizes())
    torch.save({f"module.{name}": tensor for name, tensor in content["g_ema"].items()}, tmp_path / "flat.pt")
    z = Dice(1)(2, 8)
    assert recognise(tmp_path / "flat.pt") == "rosinality"
    assert_equal_images(rendered(tmp_path / "flat.pt", z), made.render(z))


def test_strangers_are_not_recognised(tmp_path: Path) -> None:
    for i, content in enumerate(({"model.0.weight": torch.zeros(2)}, {"g_ema": 3}, [torch.zeros(1)], torch.zeros(1))):
        torch.save(content, tmp_path / f"{i}.pt")
        assert recognise(tmp_path / f"{i}.pt") is None
    assert recognise(tmp_path) is None


@pytest.mark.parametrize(
    ("layout", "changes", "reason"),
    [
        (NVIDIA[0], {"architecture": "resnet"}, "architecture resnet"),
        (NVIDIA[1], {"architecture": "orig"}, "configs a to d"),
        (NVIDIA[1], {"resample_kernel": [1, 2, 1]}, "resample_kernel"),
        (NVIDIA[1], {"nonlinearity": "relu"}, "nonlinearity relu"),
        (NVIDIA[1], {"normalize_latents": False}, "normalize_latents False"),
    ],
)
def test_other_architectures_are_refused(layout: Layout, changes: dict[str, str], reason: str, tmp_path: Path) -> None:
    layout.write(tmp_path / "weights.pkl", Sizes(), **changes)
    with pytest.raises(UsageError, match=reason):
        convert(tmp_path / "weights.pkl")


def test_another_filter_is_refused(tmp_path: Path) -> None:
    content, _ = rosinality(Sizes())
    content["g_ema"]["convs.0.conv.blur.kernel"] = torch.ones(4, 4) / 4
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(UsageError, match=r"convs\.0\.conv\.blur\.kernel"):
        convert(tmp_path / "weights.pt")


def test_a_stylegan3_of_the_same_library_is_not_claimed(tmp_path: Path) -> None:
    with nvidia_modules(), (tmp_path / "stylegan3.pkl").open("wb") as file:
        inputs = module("SynthesisInput", {"weight": nn.Parameter(torch.zeros(2, 2))})
        synthesis = module("SynthesisNetwork", {"input": inputs, "L0_36_512": module("SynthesisLayer", {})})
        pickle.dump({"G_ema": module("Generator", {"synthesis": synthesis})}, file)
    assert recognise(tmp_path / "stylegan3.pkl") is None


def test_stylegan1_is_named(tmp_path: Path) -> None:
    with nvidia_modules(), (tmp_path / "stylegan1.pkl").open("wb") as file:
        synthesis = network("G_synthesis", [("4x4/Const/StyleMod/weight", torch.zeros(2, 2))], {}, {})
        pickle.dump((None, None, network("Gs", [], {"synthesis": synthesis}, {})), file)
    with pytest.raises(UsageError, match="StyleGAN1"):
        convert(tmp_path / "stylegan1.pkl")


def test_a_progan_of_the_same_library_is_not_claimed(tmp_path: Path) -> None:
    with nvidia_modules(), (tmp_path / "progan.pkl").open("wb") as file:
        pickle.dump((None, None, sys.modules["tfutil"].Network()), file)
    assert recognise(tmp_path / "progan.pkl") is None


def test_official_cards_are_well_formed() -> None:
    names = [card.name for card in OFFICIAL]
    assert len(names) == len(set(names))
    assert len({card.file for card in OFFICIAL if card.url}) == len([card for card in OFFICIAL if card.url])
    assert {len(card.sha256) for card in OFFICIAL if card.sha256 is not None} == {64}
    for card in OFFICIAL:
        assert NAME.fullmatch(card.name)
        assert "https://" in (card.url or card.card["page"])
        assert "licen" in card.licence.lower()
        assert card.resolution in (32, 256, 512, 1024)
