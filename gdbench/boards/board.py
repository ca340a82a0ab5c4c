"""The values that a leaderboard is made of: a number, a method's row, the board of one generator."""

from __future__ import annotations

from dataclasses import dataclass

from gdbench.specs import Column


@dataclass(frozen=True)
class Entry:
    """One number of one method: mean over seeds with its 95 % interval.

    n of expected: how many seeds have the number. rank: None where it is not ranked. note: why seeds lack it.
    """

    metric: str
    column: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    expected: int
    rank: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A method on a generator. failures: one line for each run that is not done."""

    role: str
    method: str
    entries: tuple[Entry, ...]
    failures: tuple[str, ...] = ()

    def entry(self, metric: str, column: str) -> Entry:
        """The entry of one column. Raises KeyError."""
        found = {(entry.metric, entry.column): entry for entry in self.entries}
        return found[metric, column]


@dataclass(frozen=True)
class Board:
    """All methods on one checkpoint at one tier and K, controls and references after the methods."""

    generator: str
    checkpoint: str
    domain: str
    tier: str
    k: int
    columns: tuple[tuple[str, Column], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What stands above the table."""
        return f"{self.generator}/{self.checkpoint}, {self.domain}, tier {self.tier}, K = {self.k}"

    def metrics(self) -> dict[str, list[Column]]:
        """Metric -> its columns, in order."""
        found: dict[str, list[Column]] = {}
        for metric, column in self.columns:
            found.setdefault(metric, []).append(column)
        return found
