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

    values: (seeds,) or (seeds, units), finite. Seeds and units are drawn independently, the same units for all drawn
    seeds (the pigeonhole bootstrap, Owen 2007), which is right for units that all seeds share, as the images of a test
    set; for units of each seed's own it errs wide (by half, where seeds are equal). Raises ValueError for no values,
    NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError("an interval needs finite values, and at least one")
    if array.size == 1:
        return Interval(float(array.mean()), None, None)
    means = array @ _weights(len(array)) if array.ndim == 1 else _crossed_means(array)
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
    method that lacks seeds still stands above those that it beats, so that its failures raise nobody. Clearly better:
    both have two seeds or more in common, and the paired interval over these and over units lies wholly on the better
    side. A method that is not ranked and has not all seeds of the judged one: a better mean over the common seeds.
    """
    return {
        name: 1
        + sum(
            _clearly_better(other, scores[name], better, key in ranked) for key, other in scores.items() if key != name
        )
        for name in scores
        if name in ranked
    }


def _clearly_better(a: Mapping[int, ArrayLike], b: Mapping[int, ArrayLike], better: str, complete: bool) -> bool:
    common = sorted(a.keys() & b.keys())
    lost = not complete and len(common) < len(b)
    if not common or (len(common) == 1 and not lost):
        return False
    mean, low, high = paired_interval(*alike([[x[seed] for seed in common] for x in (a, b)]))
    worst = mean if lost else low if better == "higher" else high
    assert worst is not None  # two seeds have an interval
    return worst > 0 if better == "higher" else worst < 0


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
def _weights(n: int, stream: int = 0) -> Array:
    """(n, RESAMPLES): the share of each of n values in each resample; streams are independent."""
    drawn = np.random.default_rng((_SEED, stream)).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return np.ascontiguousarray(drawn.T / n)


def _crossed_means(values: Array) -> Array:
    """(RESAMPLES,): means of values (seeds, units), each resample with its own seeds and its own units."""
    seeds, units = values.shape
    return np.asarray(np.einsum("sr,su,ur->r", _weights(seeds), values, _weights(units, stream=1), optimize=True))
