"""Fréchet, KID, precision and recall, and held-out R², against closed forms and planted truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_zoo.statistics import frechet, kid, linear_r2, precision_recall
from scipy.linalg import sqrtm
from torch import Tensor


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values)


def test_frechet_equals_the_textbook_formula(rng: np.random.Generator) -> None:
    a = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 5))
    b = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)) + 1
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * np.real(sqrtm(cov_a @ cov_b)))
    assert frechet(tensor(a), tensor(b)) == pytest.approx(expected, rel=1e-6)
    assert frechet(tensor(a), tensor(a)) == pytest.approx(0, abs=1e-6)


def test_frechet_of_a_shift_is_its_squared_length(rng: np.random.Generator) -> None:
    a = rng.standard_normal((500, 3))
    assert frechet(tensor(a), tensor(a + np.array([3.0, 0, 4]))) == pytest.approx(25, rel=1e-6)


def test_kid_equals_the_double_sum(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((7, 4)), rng.standard_normal((7, 4)) + 0.5

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 4 + 1) ** 3)

    pairs = [(i, j) for i in range(7) for j in range(7)]
    within = sum(kernel(s[i], s[j]) for s in (a, b) for i, j in pairs if i != j) / 42
    assert kid(tensor(a), tensor(b)) == pytest.approx(within - 2 * np.mean([kernel(a[i], b[j]) for i, j in pairs]))


def test_kid_of_equal_distributions_is_about_zero_and_grows(rng: np.random.Generator) -> None:
    a, b = (tensor(rng.standard_normal((500, 8))) for _ in range(2))
    assert abs(kid(a, b)) < 0.05 < kid(a, b + 1)


def test_precision_and_recall_tell_dropped_modes_from_bad_samples() -> None:
    left = torch.arange(10.0)[:, None] / 10
    right, far = left + 100, left + 1000
    assert precision_recall(torch.cat([left, right]), torch.cat([left, left])) == (1.0, 0.5)
    assert precision_recall(torch.cat([left, left]), torch.cat([left, far])) == (0.5, 1.0)


def test_linear_r2_finds_a_planted_part_on_held_out_rows(rng: np.random.Generator) -> None:
    latents, noise = rng.standard_normal((4000, 10)), rng.standard_normal((4000, 2))
    values = latents[:, :2] + noise  # half of the variance
    assert linear_r2(tensor(latents), tensor(values)) == pytest.approx(0.5, abs=0.04)
    assert linear_r2(tensor(latents), tensor(noise)) == pytest.approx(0, abs=0.02)
    assert linear_r2(tensor(latents), tensor(latents[:, :1] + 7)) == pytest.approx(1)


def test_linear_r2_needs_rows() -> None:
    with pytest.raises(ValueError, match="too few"):
        linear_r2(torch.zeros(10, 12), torch.zeros(10, 1))
