"""What must hold on a CUDA device; skipped elsewhere, with the reason. ``make test-gpu`` runs these alone.

Each family, each learned method and the evaluation are compared with the processor's results. Random numbers are drawn
on the processor, so both devices see the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gdbench
from gdbench.registry import load_registry
from gdbench.weights.checkpoints import default_folder
from gdbench.weights.importing import import_checkpoint
from tests.test_contract import biggan, progan, sngan, stylegan2, stylegan3

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

REGISTRY = load_registry()
SHIPPED = sorted(
    name
    for name, offer in REGISTRY.generators.items()
    if not offer.spec.checkpoints or any(card.shipped for card in offer.spec.checkpoints)
)
LEARNED = sorted(
    name for name, offer in REGISTRY.methods.items() if offer.spec.learned and offer.provider.distribution == "gdbench"
)


def both(name: str, checkpoint: str | None, space: str) -> list[torch.Tensor]:
    """Images and the gradient of their mean square to the latents, on the processor and on the device."""
    found = []
    for device in ("cpu", DEVICE):
        generator = gdbench.load_generator(name, checkpoint, device=device)
        codes = generator.sample(4, space, gdbench.Stream(0, "gpu").at())
        latents = codes.latents.clone().requires_grad_()
        images = generator.render(gdbench.Codes(latents, space, codes.labels))
        (slope,) = torch.autograd.grad(images.square().mean(), latents)
        found += [images.detach().cpu(), slope.cpu()]
    return found


def assert_same(name: str, checkpoint: str | None = None) -> None:
    for space in REGISTRY.generator(name).spec.spaces:
        images, slope, there, slope_there = both(name, checkpoint, space)
        torch.testing.assert_close(images, there, rtol=0, atol=4e-3)
        assert float((slope - slope_there).norm()) <= 0.02 * float(slope.norm())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_generator_renders_the_same_on_both_devices(name: str) -> None:
    assert_same(name)


@pytest.mark.parametrize("write", [biggan, progan, sngan, stylegan2, stylegan3], ids=lambda write: write.__name__)
def test_an_official_file_renders_the_same_on_both_devices(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write(tmp_path / "official.pth")
    card = import_checkpoint(tmp_path / "official.pth", [REGISTRY.generator(write.__name__).spec], default_folder())
    assert_same(write.__name__, card.name)


def twice(out: Path, method: str, **how: Any) -> list[Any]:
    return [
        gdbench.run("toy", method, k=8, tier="smoke", device=device, out=out / device, **how)
        for device in ("cpu", DEVICE)
    ]


@pytest.mark.parametrize("method", LEARNED)
def test_a_learned_method_ends_near_what_the_processor_finds(method: str, tmp_path: Path) -> None:
    """Adam turns last digits of small gradients into steps, so what was learned is near, not equal."""
    runs = twice(tmp_path, method, metrics=("cost",))
    assert [run.record.status for run in runs] == ["done", "done"]
    generator = gdbench.load_generator("toy")
    codes = generator.sample(8, "z", gdbench.Stream(0, "gpu").at())
    moved = []
    for run in runs:
        index, size = torch.arange(8), torch.full((8,), 2.0)
        moved.append(run.directions.displace(codes, index, size).latents - codes.latents)
    alike = torch.nn.functional.cosine_similarity(moved[0].cpu(), moved[1].cpu(), dim=1)
    assert float(alike.mean()) > 0.9, alike


def test_the_evaluation_gives_the_numbers_of_the_processor(tmp_path: Path) -> None:
    """All metrics that runs measure by default, and those that look at images and factors otherwise."""
    asked = {name for name, offer in REGISTRY.metrics.items() if offer.spec.default} | {"diversity", "factors"}
    asked -= {"cost"}  # which measures the machine
    scores = [run.scores for run in twice(tmp_path, "random", metrics=tuple(sorted(asked)))]
    assert set(scores[0]["metric"]) >= asked
    here, there = (table["value"].to_numpy(dtype=float) for table in scores)
    assert np.array_equal(np.isnan(here), np.isnan(there))
    assert here == pytest.approx(there, rel=0.05, abs=0.02, nan_ok=True)


def test_a_run_on_the_gpu_scores_as_on_the_cpu(tmp_path: Path) -> None:
    runs = twice(tmp_path, "random", metrics=("diversity",))
    values = [run.scores["value"].to_numpy() for run in runs]
    assert values[0] == pytest.approx(values[1], rel=0.02)
