"""Naturalness: grouped classifiers equal separate ones; planted, unnatural, one-sided and dead directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gdbench_metrics.naturalness import Classifiers, measure, score
from gdbench_metrics.params import NaturalnessParams
from torch import Tensor

from gdbench import Stream, initialised
from tests.plugins.metrics_subjects import PLANTED, context, subject

SMALL = NaturalnessParams(initialisations=2, steps=30, batch=16, rate=4e-3, codes=32, real=96)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def test_groups_are_separate_classifiers(rng: np.random.Generator) -> None:
    together, alone = (initialised(rng, lambda n=n: Classifiers(n, 3)).eval() for n in (2, 1))
    images = torch.from_numpy(rng.normal(size=(4, 6, 32, 32))).float()
    with torch.no_grad():
        for group in (0, 1):
            for ours, theirs in zip(alone.state_dict().values(), together.state_dict().values(), strict=True):
                ours.copy_(theirs if theirs.dim() == 0 else theirs.chunk(2)[group])
            expected = alone(images[:, 3 * group : 3 * group + 3])[:, 0]
            torch.testing.assert_close(together(images)[:, group], expected, atol=1e-5, rtol=1e-4)


def bright(rng: np.random.Generator, shape: tuple[int, ...], level: Tensor) -> Tensor:
    """Grey noise at a level for each image."""
    noise = torch.from_numpy(rng.normal(0, 0.1, (*shape, 1, 32, 32))).float()
    return noise + level[..., None, None, None]


def test_a_change_that_varies_among_real_images_is_natural(rng: np.random.Generator) -> None:
    shape = (1, 2, 32)
    level = torch.tensor([0.4, -0.4])[None, :, None].expand(shape)
    edited = bright(rng, shape, level)
    varied = bright(rng, (96,), torch.from_numpy(rng.uniform(-0.6, 0.6, 96)).float())
    natural, balanced = score(edited, varied, SMALL, Stream(0, "test"))
    assert natural.shape == (1, len(edited[0, 0]) - len(edited[0, 0]) // 2)
    assert natural[0].mean() > 0.8
    assert balanced[0] == 1
    dark = bright(rng, (96,), torch.full((96,), -0.6))
    natural, balanced = score(edited, dark, SMALL, Stream(0, "test"))
    assert (natural[0] == 0).all()
    assert balanced[0] == 0


def test_shuffled_signs_give_about_zero(rng: np.random.Generator) -> None:
    shape = (4, 2, 64)
    level = torch.from_numpy(rng.choice([0.4, -0.4], shape)).float()
    varied = bright(rng, (96,), torch.from_numpy(rng.uniform(-0.6, 0.6, 96)).float())
    natural, _ = score(bright(rng, shape, level), varied, SMALL, Stream(0, "test"))
    assert float(natural.mean(1).abs().mean()) < 0.25


def test_toy_with_dead_directions_repeats() -> None:
    planted = subject(torch.cat([PLANTED[[3, 5]], torch.zeros(1, 64)]))
    short = replace(SMALL, initialisations=1, steps=20)
    found = measure(planted, short, context(3))
    assert found.directions["naturalness"][2] == 0
    assert found.values["naturalness"] == pytest.approx(sum(found.directions["naturalness"]) / 3)
    assert found == measure(planted, short, context(3))
