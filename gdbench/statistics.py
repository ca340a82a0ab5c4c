"""Means with intervals, and ranks that only a clear difference can change (PROTOCOL.md section 7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LEVEL = 0.95
RESAMPLES = 10_000
TWO_STAGE_RESAMPLES = 2_000
_SEED = 0
"""Resampling is a computation here, not an experiment: the same records always give the same leaderboard."""


class Interval(NamedTuple):
    """A mean with its percentile bootstrap interval; low and high are None where one value is all there is."""

    mean: float
    low: float | None
    high: float | None


def interval(values: ArrayLike) -> Interval:
    """Mean and 95 % bootstrap interval over seeds, and over units where there are some.

    values: (seeds,) or (seeds, units), finite; units are drawn anew within each drawn seed (two-stage bootstrap,
    Davison and Hinkley 1997, section 3.8). Raises ValueError for no values, NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError("an interval needs finite values, and at least one")
    if array.size == 1:
        return Interval(float(array.mean()), None, None)
    means = array @ _weights(len(array)) if array.ndim == 1 else _two_stage_means(array)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def paired_interval(a: ArrayLike, b: ArrayLike) -> Interval:
    """The interval of the mean of ``a - b``: seeds and units of both are drawn together."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal shapes, got {first.shape} and {second.shape}")
    return interval(first - second)


def ranks(
    scores: Mapping[str, Mapping[int, float]], better: Literal["higher", "lower"], ranked: Collection[str]
) -> dict[str, int]:
    """Rank of each method in ``ranked``: 1 + the number of methods that are clearly better; ties share a rank.

    scores: method -> seed -> finite score, also of methods that are not ranked themselves: a method that lacks a seed
    still stands above those that it beats, so no failure ever improves a rank. Clearly better: the paired interval
    over the seeds that both have, two at least, lies wholly on the better side.
    """
    return {
        name: 1 + sum(_clearly_better(other, scores[name], better) for key, other in scores.items() if key != name)
        for name in scores
        if name in ranked
    }


def _clearly_better(a: Mapping[int, float], b: Mapping[int, float], better: str) -> bool:
    common = sorted(a.keys() & b.keys())
    if len(common) < 2:
        return False
    difference = paired_interval([a[seed] for seed in common], [b[seed] for seed in common])
    assert difference.low is not None
    assert difference.high is not None
    return difference.low > 0 if better == "higher" else difference.high < 0


@lru_cache
def _weights(n: int) -> Array:
    """(n, RESAMPLES): the share of each of n values in each resample."""
    drawn = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return np.ascontiguousarray(drawn.T / n)


def _two_stage_means(values: Array) -> Array:
    rng = np.random.default_rng(_SEED)
    seeds, units = values.shape
    means = np.empty(TWO_STAGE_RESAMPLES)
    for i in range(TWO_STAGE_RESAMPLES):
        rows, columns = rng.integers(seeds, size=(seeds, 1)), rng.integers(units, size=(seeds, units))
        means[i] = values[rows, columns].mean()
    return means
