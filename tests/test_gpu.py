"""What must hold on a CUDA device; skipped elsewhere, with the reason. ``make test-gpu`` runs these alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gdbench
from gdbench.registry import load_registry

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("name", sorted(load_registry().generators))
def test_a_shipped_generator_renders_the_same_on_both_devices(name: str) -> None:
    spec = load_registry().generator(name).spec
    if spec.checkpoints and not any(card.shipped for card in spec.checkpoints):
        pytest.skip(f"{name} ships no checkpoint")
    images = []
    for device in ("cpu", "cuda"):
        generator = gdbench.load_generator(name, device=device)
        codes = generator.sample(4, generator.spaces[0], gdbench.Stream(0, "gpu").at())
        images.append(generator.render(codes).cpu())
    torch.testing.assert_close(images[0], images[1], rtol=0, atol=2e-3)


def test_a_run_on_the_gpu_scores_as_on_the_cpu(tmp_path: Path) -> None:
    runs = [
        gdbench.run("toy", "random", k=8, tier="smoke", device=device, metrics=("diversity",), out=tmp_path / device)
        for device in ("cpu", "cuda")
    ]
    values = [run.scores["value"].to_numpy() for run in runs]
    assert values[0] == pytest.approx(values[1], rel=0.02)


def test_training_runs_on_the_gpu(tmp_path: Path) -> None:
    run = gdbench.run("toy", "voynov", k=8, tier="smoke", device="cuda", metrics=("cost",), out=tmp_path)
    assert run.record.status == "done"
