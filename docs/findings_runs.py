"""What docs/findings.py reads: the boards of a suite, and F1 of the first k directions of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr
from spaces import numbers

from gdbench.boards.board import Board, Key, Leaderboard
from gdbench.boards.leaderboard import leaderboard_of
from gdbench.boards.statistics import Interval, Sample, interval, mean_of, pooled, ranks
from gdbench.columns import columns_of
from gdbench.record import RunRecord
from gdbench.registry import load_registry
from gdbench.runs.pool import suite_runs
from gdbench.runs.suite import read_suite
from gdbench.runs.tables import read_tables

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ACCEPTANCE = BENCHMARKS.parent / "plugins" / "gdbench_acceptance" / "offers.py"
"""It offers the directions that are measured again."""
Name = TypeVar("Name")
RANDOM, SUPERVISED = "random", "oracle-linear"
SHOWN = ("sngan/scenes32", "stylegan2/scenes32")
"""The boards of the picture in README, and of the strips."""
ORDERED = frozenset({"sefa", "ganspace", "jacobian", "hessian-penalty", "orojar", SUPERVISED})
"""Methods that give their strongest directions first; of the others the mean over random orders is taken."""


@dataclass(frozen=True)
class Group:
    """The runs of one board. name: GAN/CHECKPOINT; by method, in order of seed; pool: where their folders lie."""

    name: str
    board: Board
    runs: dict[str, list[RunRecord]]
    pool: Path

    def column(self, method: str, column: str, metric: str = "recovery") -> list[float]:
        """The numbers of a column of a method, one for each seed that has one."""
        return numbers(self.runs.get(method, []), metric, column)

    def among(self, runs: Iterable[RunRecord], method: str | None = None) -> list[RunRecord]:
        """Those of other runs that are on this board's generator, checkpoint and space; of one method, or of all."""
        return [run for run in runs if _on(run, self.board.key) and method in (None, run.cell.method)]

    @property
    def methods(self) -> list[str]:
        """Methods with a number, best F1 first; controls and references too."""
        found = {method: np.mean(self.column(method, "F1")) for method in self.runs if self.column(method, "F1")}
        return sorted(found, key=lambda method: -found[method])

    @property
    def rivals(self) -> list[str]:
        """Those of ``methods`` that are no control and no reference."""
        return [method for method in self.methods if self.runs[method][0].role == "method"]


def read(pool: Path) -> tuple[Leaderboard, list[Group]]:
    """The leaderboard of scenes-quick and its runs by board; references, which have K = J, stand with K = 32."""
    registry, suite = load_registry(), read_suite(BENCHMARKS / "scenes-quick.yaml")
    found = suite_runs(suite, registry, pool)
    made = leaderboard_of(found.records, columns_of(registry), registry, suite)
    groups = []
    for board in made.boards:
        key = board.key
        if key.k != 32:
            continue
        runs: dict[str, list[RunRecord]] = {}
        for record in sorted(found.records, key=lambda record: record.cell.seed):
            if _on(record, key):
                runs.setdefault(record.cell.method, []).append(record)
        twin = " in z" if (key.generator, key.space) == ("stylegan2", "z") else ""
        groups.append(Group(f"{key.generator}/{key.checkpoint}{twin}", board, runs, pool))
    order = {name: place for place, name in enumerate(SHOWN)}
    return made, sorted(groups, key=lambda group: (order.get(group.name, len(order)), group.name))


def _on(run: RunRecord, key: Key) -> bool:
    cell = run.cell
    return (cell.generator, cell.checkpoint, cell.space) == (key.generator, key.checkpoint, key.space)


def companion(suite: str, pool: Path, metric: str = "recovery", column: str = "F1") -> list[RunRecord]:
    """The runs of another suite that have a number there, in order of seed; empty where the pool has none."""
    found = suite_runs(read_suite(BENCHMARKS / f"{suite}.yaml"), load_registry([ACCEPTANCE]), pool).records
    return sorted((run for run in found if numbers([run], metric, column)), key=lambda run: run.cell.seed)


def first_k(group: Group, method: str) -> NDArray[np.float64]:
    """F1 of the first k directions for k = 1..K (seeds, K), of the runs that are measured."""
    ending = "at" if method in ORDERED else "any"
    found = []
    for run in (run for run in group.runs[method] if numbers([run], "recovery", "F1")):
        table = read_tables(group.pool / run.id)["recovery"]
        recall, precision = (table[f"{name}_{ending}"].to_numpy(dtype=float) for name in ("recall", "precision"))
        whole = recall + precision
        found.append(np.divide(2 * recall * precision, whole, out=np.zeros_like(whole), where=whole > 0))
    return np.array(found)


def counted(group: Group) -> int:
    """J, the number of known factors that count on this generator."""
    return round(next(value for method in group.methods for value in group.column(method, "counted")))


def intervals(scores: Mapping[Name, Sequence[float]], most: float = 1.0) -> dict[Name, Interval]:
    """Mean of each method with its interval in 0..most; the variance between seeds is that of all of them together."""
    spread = pooled(scores.values())
    return {name: interval(Sample(mean_of(each), len(each), spread), (0.0, most)) for name, each in scores.items()}


def correlation(one: Sequence[float], other: Sequence[float]) -> str:
    """``0.03 (-0.65 to 0.68)``: Spearman's rank correlation of n > 3 pairs with its 95 % interval.

    Fisher's z with the variance (1 + rho² / 2) / (n - 3) of Bonett and Wright, Psychometrika 65, 2000.
    """
    rho = float(spearmanr(one, other).statistic)
    if abs(rho) > 1 - 1e-9:  # at the end of the scale of z there is no interval
        return f"{rho:.2f}"
    half = norm.ppf(0.975) * math.sqrt((1 + rho**2 / 2) / (len(one) - 3))
    low, high = (math.tanh(math.atanh(rho) + step) for step in (-half, half))
    return f"{rho:.2f} ({low:.2f} to {high:.2f})"


def leaders(scores: Mapping[str, Sequence[float]], least: float) -> list[str]:
    """The methods that no other is clearly better than, as a board ranks them; the largest mean first."""
    spread = pooled(scores.values())
    samples = {name: Sample(mean_of(each), len(each), spread) for name, each in scores.items()}
    placed = ranks(samples, "higher", list(samples), least)
    return sorted((name for name, rank in placed.items() if rank == 1), key=lambda name: -samples[name].mean)
