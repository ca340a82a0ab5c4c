"""Moments of a space: dense and diagonal ones say the same where the axes are independent; many dimensions fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from gdbench import Codes, DenseMoments, DiagonalMoments, Stream, moments, normal
from gdbench.evaluation import prior

VARIANCES = torch.tensor([4.0, 1.0, 0.25, 0.0], dtype=torch.float64)
MEAN = torch.tensor([1.0, -2.0, 0.0, 3.0], dtype=torch.float64)
DENSE, DIAGONAL = DenseMoments(MEAN, torch.diag(VARIANCES)), DiagonalMoments(MEAN, VARIANCES)


@dataclass(frozen=True)
class Scaled:
    """A generator of which only codes matter: axis i has mean 1 and deviation 1 + i / dim."""

    size: int

    def dim(self, space: str) -> int:
        return self.size

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(1 + normal(rng, n, self.size) * (1 + torch.arange(self.size) / self.size), space)


def test_independent_axes_are_the_same_in_both() -> None:
    latents = normal(Stream(0, "test").at(), 1_100, 4).double() * VARIANCES.sqrt() + MEAN
    shifts = torch.cat([normal(Stream(1, "test").at(), 5, 4), torch.zeros(1, 4), torch.eye(4)])
    assert DIAGONAL.largest == pytest.approx(DENSE.largest) == 2.0
    for one, other in (
        (DIAGONAL.mahalanobis(latents), DENSE.mahalanobis(latents)),
        (DIAGONAL.deviations(shifts), DENSE.deviations(shifts)),
        (DIAGONAL.unwhitened(shifts), DENSE.unwhitened(shifts)),
        (DIAGONAL.root(), DENSE.root()),
        (DIAGONAL.covariance, DENSE.covariance),
        (DIAGONAL.variances, DENSE.variances),
    ):
        torch.testing.assert_close(one, other)


def test_a_direction_without_spread_is_infinitely_far_and_no_shift_is_none() -> None:
    for known in (DENSE, DIAGONAL):
        assert known.deviations(torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0]])).tolist() == [
            torch.inf,
            0.0,
            1.0,
        ]


def test_unwhitening_is_the_product_with_the_root() -> None:
    mixed = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    known, shifts = DenseMoments(torch.zeros(2), mixed), normal(Stream(0, "test").at(), 3, 2)
    torch.testing.assert_close(known.unwhitened(shifts), shifts.double() @ known.root())
    torch.testing.assert_close(known.root() @ known.root(), mixed)


def test_few_dimensions_have_a_covariance_and_many_have_variances(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = moments(Scaled(16), "z", samples=4_000)  # type: ignore[arg-type]
    assert isinstance(dense, DenseMoments)
    monkeypatch.setattr(prior, "DENSE", 8)
    diagonal = moments(Scaled(16), "z", samples=4_000)  # type: ignore[arg-type]
    assert isinstance(diagonal, DiagonalMoments)
    torch.testing.assert_close(diagonal.mean, dense.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(diagonal.variances, dense.variances, atol=0.2, rtol=0.1)


def test_thirty_thousand_dimensions_need_no_matrix() -> None:
    """A covariance of this space has 900 million numbers, 7 GB."""
    known = moments(Scaled(30_000), "z", samples=1_000)  # type: ignore[arg-type]
    assert known.variances.shape == (30_000,)
    assert 1.9 < known.largest < 2.3
    shift = torch.zeros(1, 30_000)
    shift[0, 0] = 3.0
    assert float(known.deviations(shift)) == pytest.approx(3.0, rel=0.1)
    radius = known.mahalanobis(Scaled(30_000).sample(3, "z", Stream(3, "test").at()).latents)
    torch.testing.assert_close(radius, torch.full((3,), 30_000**0.5, dtype=torch.float64), rtol=0.02, atol=0)
