"""Arithmetic on factors: how far two readings are apart, where a factor can be read, its spread, what steers it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gdbench.protocols import Factor

ROLLS = 8
"""Pairings of each image with another one, from which a spread is estimated."""


def difference(factor: Factor, a: Tensor, b: Tensor) -> Tensor:
    """Distance of two readings (...,): |a - b|, turns up to .5, or total variation of probabilities (..., classes)."""
    if factor.kind == "class":
        return (a - b).abs().sum(-1) / 2
    if factor.kind == "circular":
        return turned(a, b).abs()
    return (b - a).abs()


def turned(a: Tensor, b: Tensor) -> Tensor:
    """Signed shortest turn from a to b, in [-.5, .5)."""
    return (b - a + 0.5) % 1 - 0.5


def visible(factor: Factor, readings: Mapping[str, Tensor], factors: Sequence[Factor]) -> Tensor:
    """Where a factor can be read: bool, of the shape of its readings (true integer classes too) without probabilities.

    A factor is hidden where the one that it needs is below its threshold, or is hidden itself.
    """
    values = readings[factor.name]
    probabilities = factor.kind == "class" and values.is_floating_point()
    seen = torch.ones(values.shape[:-1] if probabilities else values.shape, dtype=torch.bool)
    if factor.visible_with is None:
        return seen
    name, threshold = factor.visible_with
    needed = next(other for other in factors if other.name == name)
    return (readings[name] > threshold).cpu() & visible(needed, readings, factors)


def spread(factor: Factor, readings: Tensor, seen: Tensor) -> float:
    """sqrt(E[d(x, x')^2] / 2) over independent visible images: the standard deviation, generalised to every kind."""
    return math.sqrt(mean_square(factor, readings, seen) / 2)


def mean_square(factor: Factor, readings: Tensor, seen: Tensor, rolls: int = ROLLS) -> float:
    """Mean squared distance of each image to the ``rolls`` next ones, where both are visible; 0 without any pair."""
    total, pairs = 0.0, 0
    for roll in range(1, rolls + 1):
        both = seen & seen.roll(roll, 0)
        total += float(difference(factor, readings, readings.roll(roll, 0)).double().square()[both].sum())
        pairs += int(both.sum())
    return total / pairs if pairs else 0.0


def coordinates(factor: Factor, readings: Tensor) -> Tensor:
    """Readings as columns for linear work: (n, 1) values, (n, 2) cosine and sine, or (n, classes) probabilities."""
    if factor.kind == "class":
        return readings
    if factor.kind == "circular":
        angle = 2 * torch.pi * readings
        return torch.stack([angle.cos(), angle.sin()], 1)
    return readings[:, None]


def steering(factor: Factor, latents: Tensor, readings: Mapping[str, Tensor], factors: Sequence[Factor]) -> Tensor:
    """Directions (m, dim) that steer a factor: its covariance with the code, on the images where it is visible.

    latents: (n, dim), or (n, layers, dim) of which the mean over layers counts. With S the covariance of the space and
    b the regression of the factor on the code this is S b: of all shifts with the same expected effect the likeliest
    under the prior. One row for each column of ``coordinates``; zeros where the factor is never visible.
    """
    latents = latents.double().cpu()
    latents = latents if latents.dim() == 2 else latents.mean(1)
    target = coordinates(factor, readings[factor.name].double().cpu())
    seen = visible(factor, readings, factors)
    if not seen.any():
        return torch.zeros(target.shape[1], latents.shape[1])
    latents, target = latents[seen], target[seen]
    return ((target - target.mean(0)).T @ (latents - latents.mean(0)) / len(latents)).float()
