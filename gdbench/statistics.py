"""Means with intervals, and ranks that only a clear difference can change (PROTOCOL.md section 7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LEVEL = 0.95
RESAMPLES = 10_000
TWO_STAGE_RESAMPLES = 2_000
MIN_GENERATORS = 6
"""Below this many generators nothing is inferred across them: the smallest p of a signed-rank test of 5 is .0625."""
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
    means = array @ _weights(len(array)) if array.ndim == 1 else _two_stage_weights(*array.shape) @ array.ravel()
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def paired_interval(a: ArrayLike, b: ArrayLike) -> Interval:
    """The interval of the mean of ``a - b``: the same seeds and units of both are drawn."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal shapes, got {first.shape} and {second.shape}")
    return interval(first - second)


def ranks(
    scores: Mapping[str, Mapping[int, ArrayLike]], better: Literal["higher", "lower"], ranked: Collection[str]
) -> dict[str, int]:
    """Rank of each method in ``ranked``: 1 + the number of methods that are clearly better; ties share a rank.

    scores: method -> seed -> finite score, or its units (units,), also of methods that are not ranked themselves: a
    method that lacks a seed still stands above those that it beats, so no failure ever improves a rank. Clearly better:
    the paired interval over the seeds that both have, two at least, and over units lies wholly on the better side.
    """
    return {
        name: 1 + sum(_clearly_better(other, scores[name], better) for key, other in scores.items() if key != name)
        for name in scores
        if name in ranked
    }


def _clearly_better(a: Mapping[int, ArrayLike], b: Mapping[int, ArrayLike], better: str) -> bool:
    common = sorted(a.keys() & b.keys())
    if len(common) < 2:
        return False
    difference = paired_interval(*alike([[x[seed] for seed in common] for x in (a, b)]))
    assert difference.low is not None
    assert difference.high is not None
    return difference.low > 0 if better == "higher" else difference.high < 0


def alike(samples: Sequence[Sequence[ArrayLike]]) -> list[Array]:
    """Samples of scores, each a number or its units, as arrays (seeds, units); (seeds,) where any has no such units."""
    sizes = {np.size(score) for sample in samples for score in sample}
    if len(sizes) == 1 and sizes != {1}:
        return [np.array(sample, dtype=np.float64) for sample in samples]
    return [np.array([np.asarray(score, dtype=np.float64).mean() for score in sample]) for sample in samples]


def friedman(scores: ArrayLike) -> float:
    """p of Friedman's test that no method differs; scores (generators, methods), three methods at least.

    1 where all methods are equal on every generator.
    """
    from scipy.stats import friedmanchisquare

    table = np.asarray(scores, dtype=np.float64)
    if (table == table[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*table.T).pvalue)


def holm_wilcoxon(scores: ArrayLike) -> Array:
    """p (methods, methods) of signed-rank tests between methods, corrected by Holm; scores (generators, methods).

    Pairs are two-sided; a generator on which both are equal counts half to each side. Symmetric, 1 on the diagonal.
    """
    from scipy.stats import wilcoxon

    table = np.asarray(scores, dtype=np.float64)
    count = table.shape[1]
    pairs = [(i, j) for i in range(count) for j in range(i)]
    apart = [table[:, i] - table[:, j] for i, j in pairs]
    raw = [float(wilcoxon(d, zero_method="zsplit").pvalue) if d.any() else 1.0 for d in apart]
    corrected = np.ones((count, count))
    for (i, j), p in zip(pairs, holm(raw), strict=True):
        corrected[i, j] = corrected[j, i] = p
    return corrected


def holm(p: ArrayLike) -> Array:
    """p values (m,) corrected for m tests, in their order (Holm 1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


@lru_cache
def _weights(n: int) -> Array:
    """(n, RESAMPLES): the share of each of n values in each resample."""
    drawn = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return np.ascontiguousarray(drawn.T / n)


@lru_cache
def _two_stage_weights(seeds: int, units: int) -> Array:
    """(TWO_STAGE_RESAMPLES, seeds * units): the share of each value in each resample."""
    rng, size = np.random.default_rng(_SEED), seeds * units
    rows = rng.integers(seeds, size=(TWO_STAGE_RESAMPLES, seeds, 1))
    columns = rng.integers(units, size=(TWO_STAGE_RESAMPLES, seeds, units))
    cells = (rows * units + columns).reshape(TWO_STAGE_RESAMPLES, size)
    return np.stack([np.bincount(drawn, minlength=size) for drawn in cells]) / size
