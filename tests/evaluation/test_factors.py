"""Arithmetic of factors against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdbench import Factor, Stream, coordinates, difference, spread, steering, visible

X, HUE, SHAPE = Factor("x"), Factor("hue", "circular"), Factor("shape", "class")
GROUND = Factor("ground")
TEXTURE = Factor("texture", visible_with=("ground", 0.3))
PHASE = Factor("phase", "circular", visible_with=("texture", 0.2))
FACTORS = (X, HUE, SHAPE, GROUND, TEXTURE, PHASE)


def test_differences_are_absolute_angular_and_total_variation() -> None:
    assert difference(X, torch.tensor([1.0]), torch.tensor([-2.0])).item() == 3
    assert difference(HUE, torch.tensor([0.9]), torch.tensor([0.1])).item() == pytest.approx(0.2)
    a, b = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.1, 0.2, 0.7]])
    assert difference(SHAPE, a, b).item() == pytest.approx(0.6)


def test_visibility_is_followed_to_its_end() -> None:
    readings = {
        "ground": torch.tensor([1.0, 1.0, 0.1, 1.0]),
        "texture": torch.tensor([1.0, 0.1, 1.0, 1.0]),
        "phase": torch.zeros(4),
        "shape": torch.zeros(4, 3),
    }
    assert visible(TEXTURE, readings, FACTORS).tolist() == [True, True, False, True]
    assert visible(PHASE, readings, FACTORS).tolist() == [True, False, False, True]
    assert visible(SHAPE, readings, FACTORS).tolist() == [True] * 4
    assert visible(SHAPE, {"shape": torch.tensor([0, 2])}, FACTORS).tolist() == [True] * 2


def test_the_spread_is_the_standard_deviation_of_a_number_and_that_of_a_uniform_angle() -> None:
    rng = np.random.default_rng(0)
    seen = torch.ones(50_000, dtype=torch.bool)
    values = torch.from_numpy(rng.normal(3, 2, 50_000))
    assert spread(X, values, seen) == pytest.approx(2, rel=0.02)
    turns = torch.from_numpy(rng.random(50_000))
    assert spread(HUE, turns, seen) == pytest.approx((1 / 12 / 2) ** 0.5, rel=0.02)  # E d^2 = 1/12 turn^2
    assert spread(X, values, ~seen) == 0


def test_steering_vectors_are_covariances_with_the_code() -> None:
    root = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 1.0, 1.0]])
    latents = torch.from_numpy(Stream(0, "test").at().standard_normal((200_000, 3))).float() @ root.T
    weights = torch.tensor([1.0, -2.0, 0.5])
    found = steering(X, latents, {"x": latents @ weights}, FACTORS)
    torch.testing.assert_close(found[0], root @ root.T @ weights, rtol=0.03, atol=0.03)
    assert coordinates(HUE, torch.tensor([0.25])).tolist() == [pytest.approx([0, 1], abs=1e-6)]
