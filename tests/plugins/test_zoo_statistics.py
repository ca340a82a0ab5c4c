"""Fréchet and held-out R², against closed forms and planted truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_zoo.statistics import frechet, linear_r2
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


def test_linear_r2_finds_a_planted_part_on_held_out_rows(rng: np.random.Generator) -> None:
    latents, noise = rng.standard_normal((4000, 10)), rng.standard_normal((4000, 2))
    values = latents[:, :2] + noise  # half of the variance
    assert linear_r2(tensor(latents), tensor(values)) == pytest.approx(0.5, abs=0.04)
    assert linear_r2(tensor(latents), tensor(noise)) == pytest.approx(0, abs=0.02)
    assert linear_r2(tensor(latents), tensor(latents[:, :1] + 7)) == pytest.approx(1)


def test_linear_r2_needs_rows() -> None:
    with pytest.raises(ValueError, match="too few"):
        linear_r2(torch.zeros(10, 12), torch.zeros(10, 1))
