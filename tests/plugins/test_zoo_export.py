"""Export: what a card promises is true of the file, and the family loads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_sngan.recipe import Recipe
from gdbench_zoo import export as exporter
from gdbench_zoo.families import folder, load, recipe, spec
from gdbench_zoo.trainer import Budget, train
from torch import Tensor

from gdbench import Checkpoint, GdbenchError, MissingFile, UsageError, read_facts, sha256, uniform
from tests.plugins.test_zoo_quality import Planted

SMALL = Recipe(latent_dim=8, widths=(8, 8, 4), discriminator_widths=(4, 6, 8), batch=4, settle_batches=2)


def images(n: int, rng: np.random.Generator) -> Tensor:
    return uniform(rng, -1, 1, n, 3, 16, 16)


def test_families_with_a_recipe_are_found() -> None:
    for family in ("sngan", "stylegan2", "stylegan3"):
        assert spec(family).name == family
        assert recipe(family).generator() is not None
        assert folder(family).name == "checkpoints"
    with pytest.raises(UsageError, match="no trainable family 'toy'"):
        spec("toy")


def test_half_precision_that_overflows_is_an_error() -> None:
    kept = exporter.half({"a": torch.tensor([1.5]), "n": torch.tensor(3)})
    assert (kept["a"].dtype, kept["n"].dtype) == (torch.float16, torch.int64)
    with pytest.raises(GdbenchError, match="does not fit"):
        exporter.half({"a": torch.tensor([1e6])})


@pytest.mark.parametrize("passed", [True, False])
def test_exported_weights_have_a_true_card(passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "measure", lambda generator, domain: {"passed": passed, "gates": {}})
    train(SMALL, images, tmp_path / "run", Budget(steps=3), seed=5)
    state = tmp_path / "run" / "state.pt"
    card = exporter.export("sngan", SMALL, exporter.read_state(state), tmp_path / "checkpoints", "small", Planted())
    assert read_facts(tmp_path / "checkpoints" / "small.safetensors")["family"] == "sngan"
    weights = tmp_path / "checkpoints" / "small.safetensors"
    assert json.loads(weights.with_suffix(".json").read_text()) == json.loads(json.dumps(card))
    checkpoint = Checkpoint(**card)
    assert checkpoint.sha256 == sha256(weights)
    assert checkpoint.size == weights.stat().st_size
    assert checkpoint.status == ("ready" if passed else "preview")
    assert (checkpoint.domain, checkpoint.resolution, checkpoint.file) == (
        "planted",
        16,
        "checkpoints/small.safetensors",
    )
    assert checkpoint.card["seed"] == 5
    assert " -p latent_dim=8 -p widths=[8,8,4] " in checkpoint.card["command"] + " "  # no field at its default
    assert "generator_rate" not in checkpoint.card["command"]
    generator = load("sngan", weights)
    settled = exporter.settled_generator(SMALL, exporter.read_state(state))
    codes = generator.sample(4, "z", np.random.default_rng(0))
    with torch.no_grad():
        assert torch.allclose(generator.render(codes), settled(codes.latents), atol=0.02)


def test_gates_are_measured_again_without_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "measure", lambda generator, domain: {"passed": True, "gates": {}, "gone": 1})
    train(SMALL, images, tmp_path / "run", Budget(steps=3), seed=5)
    made = exporter.export(
        "sngan", SMALL, exporter.read_state(tmp_path / "run" / "state.pt"), tmp_path, "small", Planted()
    )
    monkeypatch.setattr(exporter, "measure", lambda generator, domain: {"passed": False, "gates": {"seen": 1}})
    again = exporter.measure_again("sngan", tmp_path, "small", Planted())
    assert json.loads((tmp_path / "small.json").read_text()) == again
    assert (made["status"], again["status"]) == ("ready", "preview")
    kept = {name: value for name, value in made["card"].items() if name not in ("passed", "gates", "gone")}
    assert again["card"] == {**json.loads(json.dumps(kept)), "passed": False, "gates": {"seen": 1}}
    assert {name: again[name] for name in made if name not in ("card", "status")} == {
        name: made[name] for name in made if name not in ("card", "status")
    }
    with pytest.raises(MissingFile, match="ships no checkpoint other; shipped: small"):
        exporter.measure_again("sngan", tmp_path, "other", Planted())
