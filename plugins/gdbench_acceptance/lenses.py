"""The three lenses: which columns deserve belief? (PROTOCOL, "Which columns may rank")

Reseed noise: the same directions under several evaluation seeds. Validity: ladders of directions that are spoiled step
by step. Discrimination: the variance between methods beside that within reseeds. After Chanin, Are Sparse Autoencoder
Benchmarks Reliable?, arXiv:2605.18229.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from gdbench_acceptance.runs import Runs, mean

AGREES = 0.95  # Spearman's correlation of a ladder with its order
RELIABLE = 0.9  # intraclass correlation
KINDS = ("mixed", "dead", "copies", "random")
"""The ladders that judge; that in latent angle ("turned") is shown."""


@dataclass(frozen=True)
class Ladder:
    """Scores from the top (nothing spoiled) down.

    correlation: Spearman's, of order and score, where rises too small to count are ties. rises: the largest rise from
    one step to a later one if it counts, else 0.
    """

    kind: str
    scores: tuple[float, ...]
    correlation: float
    rises: float

    @property
    def valid(self) -> bool:
        """Whether it goes down: never clearly up, and in the right order."""
        return self.rises == 0 and self.correlation >= AGREES


def generators(runs: Runs) -> tuple[str, ...]:
    """Those on which directions were replayed."""
    return tuple(sorted({run.generator for run in runs.measured if run.method == "replayed"}))


def replayed(runs: Runs, generator: str, column: str) -> dict[str, list[float]]:
    """Source -> the scores of its directions, one for each evaluation seed."""
    groups: dict[str, list[float]] = {}
    for run in runs.measured:
        value = run.values.get(column)
        if (run.generator, run.method) == (generator, "replayed") and value is not None:
            groups.setdefault(str(run.params["source"]), []).append(value)
    return groups


def noise(groups: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation between evaluation seeds, pooled over groups; None where nothing was measured twice."""
    freedom = sum(len(group) - 1 for group in groups if group)
    squares = sum((value - mean(group)) ** 2 for group in groups for value in group)
    return math.sqrt(squares / freedom) if freedom else None


def least_difference(runs: Runs, column: str) -> float | None:
    """The least difference of two scores that counts, 1.96 sqrt(2) s.d., on the noisiest generator."""
    found = [noise(list(replayed(runs, generator, column).values())) for generator in generators(runs)]
    deviations = [value for value in found if value is not None]
    return 1.96 * math.sqrt(2) * max(deviations) if deviations else None


def correlation(groups: Sequence[Sequence[float]]) -> float:
    """Intraclass correlation ICC(1) of groups of equal size (Shrout and Fleiss 1979): between and within them."""
    n = len(groups[0])
    between = n * float(np.var([mean(group) for group in groups], ddof=1))
    within = float(np.mean([np.var(group, ddof=1) for group in groups]))
    return (between - within) / (between + (n - 1) * within) if between + within > 0 else 0.0


def ladders(runs: Runs, generator: str, column: str, least: float) -> Iterator[Ladder]:
    """The ladders of a column on a generator; a step is the mean over evaluation seeds, the top is one for all."""
    for kind in (*KINDS, "turned"):
        steps: dict[int, list[float]] = {}
        for run in runs.measured:
            value = run.values.get(column)
            if (run.generator, run.method) != (generator, "ladder") or value is None:
                continue
            if run.params["kind"] == kind or run.params["step"] == 0:
                steps.setdefault(int(run.params["step"]), []).append(value)
        if len(steps) > 2:
            yield judged(kind, [mean(steps[step]) for step in sorted(steps)], least)


def judged(kind: str, scores: Sequence[float], least: float) -> Ladder:
    """A ladder of scores, in which rises up to ``least`` do not count."""
    rises = max(max(scores[i:]) - score for i, score in enumerate(scores))
    tied = _without_rises(scores) if rises <= least else list(scores)
    found = float(spearmanr(range(len(tied)), [-value for value in tied]).statistic) if len(set(tied)) > 1 else 0.0
    return Ladder(kind, tuple(scores), found, rises if rises > least else 0.0)


def _without_rises(scores: Sequence[float]) -> list[float]:
    """The nearest sequence that never rises (pool adjacent violators): small rises become ties."""
    pools: list[list[float]] = []
    for score in scores:
        pools.append([score])
        while len(pools) > 1 and mean(pools[-2]) < mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    return [mean(pool) for pool in pools for _ in pool]
