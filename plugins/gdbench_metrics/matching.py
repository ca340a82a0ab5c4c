"""From shares to recall and precision; codes that decide which direction stands for which factor do not score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gdbench_metrics.shares import GUARD, Changes

FOUND = 0.3
"""A factor whose best share is above this is found."""


@dataclass(frozen=True)
class Judged:
    """Shares (k, j) from one half of the codes, which ``decide``, and from the other, which ``score``.

    Both are 0 where the change is not clear on the deciding half.
    """

    decide: NDArray[np.float64]
    score: NDArray[np.float64]

    @property
    def lead(self) -> NDArray[np.int64]:
        """(k,): the factor with the largest share of each direction; -1 where it has none."""
        return np.where(self.decide.max(1) > 0, self.decide.argmax(1), -1)

    def first(self, order: Sequence[int] | NDArray[np.int64]) -> Judged:
        """The same with those directions only, in that order."""
        return Judged(self.decide[order], self.score[order])


def judged(half: Changes, other: Changes, guard: float = GUARD) -> Judged:
    """``half`` decides, ``other`` scores; ``guard``: spreads below which a change earns no share."""
    clear = half.clear(guard)
    decide, score = (torch.where(clear, part.shares, 0.0).numpy() for part in (half, other))
    return Judged(decide, score)


def recall(table: Judged) -> float:
    """Mean over factors of the share of the direction that is assigned to each, one direction for one factor."""
    rows, columns = linear_sum_assignment(table.decide, maximize=True)
    return float(table.score[rows, columns].sum() / table.score.shape[1])


def precision(table: Judged) -> float:
    """Mean over directions of the share of the factor that each leads; more than ceil(K / J) for one factor count 0."""
    k, j = table.score.shape
    lead, total = table.lead, 0.0
    for factor in range(j):
        members = np.flatnonzero(lead == factor)
        best = members[np.argsort(-table.decide[members, factor], kind="stable")][: math.ceil(k / j)]
        total += table.score[best, factor].sum()
    return float(total / k)


def purity(table: Judged) -> float:
    """Mean over directions of the share of the factor that each leads, however many lead the same."""
    return float(np.where(table.lead >= 0, table.score[np.arange(len(table.score)), table.lead], 0.0).mean())


def led(table: Judged) -> float:
    """exp(entropy) of the lead factors: how many factors the directions are spread over; 0 where none leads."""
    counts = np.bincount(table.lead[table.lead >= 0])
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def best(table: Judged) -> NDArray[np.float64]:
    """(j,): the score of the direction that the deciding half takes for the best of each factor."""
    shares: NDArray[np.float64] = table.score[table.decide.argmax(0), np.arange(table.score.shape[1])]
    return shares


def harmonic(one: float, other: float) -> float:
    """Harmonic mean; 0 where one of both is not positive."""
    return 2 * one * other / (one + other) if one > 0 and other > 0 else 0.0


def summary(halves: Sequence[Judged]) -> Mapping[str, float]:
    """The columns: mean over both ways round; F1 is that of the means."""
    mean = {f.__name__: float(np.mean([f(half) for half in halves])) for f in (recall, precision, purity, led)}
    shares = np.mean([best(half) for half in halves], 0)
    return {**mean, "F1": harmonic(mean["recall"], mean["precision"]), "found": float((shares > FOUND).sum())}


def curves(halves: Sequence[Judged], orders: Tensor) -> tuple[list[float], list[float]]:
    """recall@k and precision@k for k = 1..K, mean over the rows of ``orders`` (m, K), each an order of directions."""
    sizes = range(1, orders.shape[1] + 1)
    firsts = [[half.first(row[:size]) for half in halves for row in orders.numpy()] for size in sizes]
    return tuple([float(np.mean([f(part) for part in parts])) for parts in firsts] for f in (recall, precision))  # type: ignore[return-value]
