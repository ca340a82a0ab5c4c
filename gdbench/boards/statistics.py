"""Intervals, ranks that only a clear difference can change, and tests (PROTOCOL, "Statistics and leaderboard").

Three seeds are too few for a bootstrap of their own: it takes equal methods apart in one of four pairs. So the variance
between seeds is estimated once for all methods of a board that draw, and intervals are Student's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Better = Literal["higher", "lower"]
Bounds = tuple[float | None, float | None]
LEVEL = 0.95
MIN_GENERATORS = 6
"""Below this many generators nothing is inferred across them: the smallest p of a signed-rank test of 5 is .0625."""
ROUNDING = 1e-9
"""Means that differ by less than this share of their size are equal: so much rounding can do."""


class Interval(NamedTuple):
    """A mean with its 95 % interval; low and high are None where nothing is known of its variance."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Spread:
    """A variance between seeds, and with how many degrees of freedom it was estimated (one at least)."""

    variance: float
    df: int


@dataclass(frozen=True)
class Sample:
    """What one method has in one column: the mean of n seeds. spread: None where nothing is known of its variance."""

    mean: float
    n: int
    spread: Spread | None


class Difference(NamedTuple):
    """The difference of two means with its 95 % interval and two-sided p."""

    mean: float
    low: float
    high: float
    p: float


class Against(NamedTuple):
    """How a method stands to the baseline. p: two-sided, corrected by Holm for all methods of the board."""

    mark: Literal["above", "not separable", "below"]
    p: float


def pooled(groups: Iterable[Sequence[float]]) -> Spread | None:
    """The variance within groups of scores, one group for each method; None where no group has two scores.

    Raises ValueError for NaN and infinity.
    """
    squares, df = 0.0, 0
    for scores in groups:
        if not all(map(math.isfinite, scores)):
            raise ValueError("scores must be finite")
        if len(scores) > 1:
            center = mean_of(scores)
            squares += math.fsum((score - center) ** 2 for score in scores)
            df += len(scores) - 1
    return Spread(squares / df, df) if df else None


def mean_of(scores: Sequence[float]) -> float:
    """The mean, whatever the order of the scores. Raises ValueError where there are none, or one is not finite."""
    if not scores or not all(map(math.isfinite, scores)):
        raise ValueError("a mean needs finite values, and at least one")
    return math.fsum(scores) / len(scores)


def interval(sample: Sample, bounds: Bounds = (None, None)) -> Interval:
    """The mean with its t interval, cut where the column ends: ``bounds`` are its least and greatest value."""
    if sample.spread is None:
        return Interval(sample.mean, None, None)
    half = _quantile(sample.spread.df) * math.sqrt(sample.spread.variance / sample.n)
    least, most = bounds
    low = sample.mean - half if least is None else max(sample.mean - half, min(least, sample.mean))
    high = sample.mean + half if most is None else min(sample.mean + half, max(most, sample.mean))
    return Interval(sample.mean, low, high)


def difference(a: Sample, b: Sample) -> Difference | None:
    """``a - b`` of independent samples; None where a variance is unknown.

    Of one spread: Student's t with its degrees of freedom. Of two: Welch's, with those of Satterthwaite.
    """
    if a.spread is None or b.spread is None:
        return None
    parts = (a.spread.variance / a.n, b.spread.variance / b.n)
    df = float(a.spread.df)
    if a.spread != b.spread and (total := sum(parts)) > 0:
        df = total**2 / (parts[0] ** 2 / a.spread.df + parts[1] ** 2 / b.spread.df)
    return _judged(gap(a.mean, b.mean), math.sqrt(sum(parts)), df)


def paired(a: Sequence[float], b: Sequence[float]) -> Difference | None:
    """``a - b`` of scores that belong together, by Student's t of their differences; None for fewer than two pairs."""
    if len(a) != len(b):
        raise ValueError(f"pairs need equal numbers, got {len(a)} and {len(b)}")
    if len(a) < 2:
        return None
    apart = [gap(x, y) for x, y in zip(a, b, strict=True)]
    spread = pooled([apart])
    assert spread is not None  # of two values or more
    return _judged(mean_of(apart), math.sqrt(spread.variance / len(apart)), spread.df)


def gap(a: float, b: float) -> float:
    """``a - b``, 0 where only rounding tells them apart."""
    return 0.0 if abs(a - b) <= ROUNDING * max(abs(a), abs(b)) else a - b


def _judged(mean: float, error: float, df: float) -> Difference:
    from scipy.special import stdtr

    half = _quantile(df) * error
    p = 2 * float(stdtr(df, -abs(mean) / error)) if error > 0 else float(mean == 0)
    return Difference(mean, mean - half, mean + half, p)


def _quantile(df: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + LEVEL) / 2))


def ranks(
    samples: Mapping[str, Sample], better: Better, complete: Collection[str], least: float = 0.0
) -> dict[str, int]:
    """Rank of each complete method: 1 + the number of methods that are clearly better; the rest are ties.

    samples: also of incomplete methods, which have no rank themselves. Clearly better: by more than ``least``, with an
    interval of the difference that lies wholly on the better side. For an incomplete method the better mean is enough,
    so that its failures raise nobody. Where nothing is known of the variance of a method it has no rank.
    """
    return {
        name: 1
        + sum(
            _clearly_better(other, sample, better, least, key in complete)
            for key, other in samples.items()
            if key != name
        )
        for name, sample in samples.items()
        if name in complete and sample.spread is not None
    }


def _clearly_better(a: Sample, b: Sample, better: Better, least: float, complete: bool) -> bool:
    lead = gap(a.mean, b.mean) * _sign(better)
    if lead <= least or not complete:
        return lead > least
    found = difference(a, b)
    return found is not None and (found.low > 0 if better == "higher" else found.high < 0)


def _sign(better: Better) -> int:
    return 1 if better == "higher" else -1


def against(
    samples: Mapping[str, Sample], baseline: Sample, better: Better, least: float = 0.0, tests: int = 0
) -> dict[str, Against]:
    """How each method stands to the baseline, corrected by Holm for ``tests`` methods, or as many as there are.

    above: better at the level of .05 and by more than ``least``. A method without number counts as a test that found
    nothing, so that a failure makes nobody's test easier. Methods of unknown variance are left out.
    """
    found = {name: apart for name, sample in samples.items() if (apart := difference(sample, baseline)) is not None}
    raw = [apart.p for apart in found.values()]
    corrected = holm([*raw, *[1.0] * (max(tests, len(samples)) - len(raw))])
    marks: dict[str, Against] = {}
    for (name, apart), p in zip(found.items(), corrected, strict=False):
        lead = apart.mean * _sign(better)
        clear = p < 1 - LEVEL and abs(lead) > least
        marks[name] = Against("not separable" if not clear else "above" if lead > 0 else "below", float(p))
    return marks


def friedman(scores: ArrayLike) -> float:
    """p of Friedman's test that no method differs; scores (generators, methods), three methods at least.

    1 where all methods are equal on every generator.
    """
    from scipy.stats import friedmanchisquare

    table = np.asarray(scores, dtype=np.float64)
    if (table == table[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*table.T).pvalue)


def mean_ranks(scores: ArrayLike, better: Better) -> list[float]:
    """The mean rank of each method over generators, 1 the best; scores (generators, methods), equal ones share it."""
    from scipy.stats import rankdata

    table = np.asarray(scores, dtype=np.float64) * -_sign(better)
    return [float(rank) for rank in rankdata(table, axis=1).mean(axis=0)]


def critical_difference(methods: int, generators: int) -> float:
    """How far two mean ranks must lie apart to differ at a level of .05, all pairs of ``methods`` (2 or more) at once.

    Nemenyi's test as Demšar (2006, section 3.2.2) has it: the quantile of the range of ``methods`` standard normal
    numbers, by the square root of k (k + 1) / 12 N.
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(LEVEL, methods, np.inf))
    return quantile * math.sqrt(methods * (methods + 1) / (12 * generators))


def runs_within(values: Sequence[float], reach: float) -> list[tuple[int, int]]:
    """The longest stretches (first, last) of two or more rising values whose ends lie less than ``reach`` apart."""
    found: list[tuple[int, int]] = []
    for first, low in enumerate(values):
        last = max(
            index for index, high in enumerate(values) if index >= first and (index == first or high - low < reach)
        )
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


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
