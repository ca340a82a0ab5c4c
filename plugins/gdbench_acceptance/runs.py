"""The runs that judge: what was measured, by generator and method, and how much a measurement repeats itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdbench import UsageError, read_run

FIXED = ("fixed-random", "scrambled")
"""Methods whose directions are the same at every seed: their seeds are test and retest."""


@dataclass(frozen=True)
class Measured:
    """One run: ``values`` by "metric.column", None where it is void; ``reasons``: why. params: of the method."""

    generator: str
    method: str
    seed: int
    values: Mapping[str, float | None]
    reasons: Mapping[str, str]
    k: int = 32
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Runs:
    """All runs, and the version of each metric that measured them."""

    measured: tuple[Measured, ...]
    versions: Mapping[str, int]

    @property
    def generators(self) -> tuple[str, ...]:
        """Those on which the fixed random directions were measured."""
        return tuple(sorted({run.generator for run in self.measured if run.method == FIXED[0]}))

    def of(self, generator: str, method: str, column: str, k: int | None = None) -> list[Measured]:
        """The runs that have a column, be it a number or void, with ``k`` directions; by default with the most."""
        found = [run for run in self.measured if (run.generator, run.method) == (generator, method)]
        found = [run for run in found if column in run.values]
        wanted = max((run.k for run in found), default=0) if k is None else k
        return [run for run in found if run.k == wanted]

    def fewest(self, generator: str, method: str) -> int | None:
        """The least K with which a method was run; None where it was not."""
        found = [run.k for run in self.measured if (run.generator, run.method) == (generator, method)]
        return min(found, default=None)

    def numbers(self, generator: str, method: str, column: str, k: int | None = None) -> list[float]:
        """The numbers of a column, one for each seed that has one."""
        values = (run.values[column] for run in self.of(generator, method, column, k))
        return [value for value in values if value is not None]

    def deviation(self, column: str) -> float | None:
        """Test-retest standard deviation: pooled over generators and over the methods that are the same at every seed.

        None where nothing was measured twice.
        """
        groups = [self.numbers(generator, method, column) for generator in self.generators for method in FIXED]
        freedom = sum(len(group) - 1 for group in groups if group)
        squares = sum((value - mean(group)) ** 2 for group in groups for value in group)
        return math.sqrt(squares / freedom) if freedom else None


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)


def read(*folders: Path) -> Runs:
    """The finished runs below ``folders``. Raises UsageError where there is none, or a metric has two versions."""
    folder = folders[0]
    files = [file for below in folders for file in sorted(below.rglob("record.json"))]
    records = [read_run(file.parent).record for file in files]
    done = [record for record in records if record.status == "done"]
    if not done:
        raise UsageError(f"{folder}: no finished run; make some with: gdbench bench benchmarks/acceptance.yaml")
    versions: dict[str, int] = {}
    for record in done:
        for metric in record.metric_params:
            version = record.versions[f"metric:{metric}"]
            if versions.setdefault(metric, version) != version:
                raise UsageError(f"{folder}: {metric} was measured in versions {versions[metric]} and {version}")
    return Runs(tuple(map(_measured, done)), versions)


def _measured(record: Any) -> Measured:
    scores = {f"{metric}.{name}": score for metric, found in record.scores.items() for name, score in found.items()}
    return Measured(
        record.cell.generator,
        record.cell.method,
        record.cell.seed,
        {name: score.value for name, score in scores.items()},
        {name: score.void for name, score in scores.items() if score.void},
        record.cell.k,
        record.cell.method_params,
    )
