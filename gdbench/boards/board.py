"""The values that a leaderboard is made of: a number, a method's row, the board of one generator, all boards."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gdbench.specs import Column

if TYPE_CHECKING:
    import pandas as pd

    from gdbench.boards.statistics import Interval


UNMEASURED = "not measured"
"""The note of an entry that no run was measured in."""
Mark = Literal["", "above", "not separable", "below"]
State = Literal["complete", "incomplete", "void"]


@dataclass(frozen=True)
class Entry:
    """One number of one method: mean over seeds with its 95 % interval.

    n of expected: how many seeds have the number. rank: None where it is not ranked. mark and p: how it stands to the
    board's baseline, "" and None where it is not set against it. note: why seeds lack it.
    """

    metric: str
    column: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    expected: int
    rank: int | None = None
    mark: Mark = ""
    p: float | None = None
    note: str = ""

    @property
    def state(self) -> State:
        """Whether all, some or none of the expected seeds have the number."""
        return "void" if self.mean is None else "incomplete" if self.n < self.expected else "complete"

    @property
    def measured(self) -> bool:
        """Whether a run was measured here, be it without a number."""
        return self.mean is not None or re.fullmatch(rf"{UNMEASURED}( \(\d+ seeds\))?", self.note) is None


@dataclass(frozen=True)
class Row:
    """A method on a board. failures: one line for each run that is not done. runs: the ids of all runs behind it."""

    role: str
    method: str
    entries: tuple[Entry, ...]
    failures: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    def entry(self, metric: str, column: str) -> Entry:
        """The entry of one column. Raises KeyError."""
        found = {(entry.metric, entry.column): entry for entry in self.entries}
        return found[metric, column]


@dataclass(frozen=True)
class Shown:
    """A column as a board shows it. least: the least difference that counts. refused: why it does not rank, or ""."""

    metric: str
    column: Column
    least: float = 0.0
    refused: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """Metric and column."""
        return self.metric, self.column.name

    @property
    def ranked(self) -> bool:
        """Whether it may rank methods."""
        return self.column.ranked and self.column.better != "neither" and not self.refused


@dataclass(frozen=True)
class Key:
    """What runs must share to stand on one board. weights: the first digits of the SHA-256 of the checkpoint."""

    generator: str
    checkpoint: str
    weights: str
    params: Mapping[str, Any]
    space: str
    domain: str
    tier: str
    k: int

    @property
    def title(self) -> str:
        """The key in words, but for the weights."""
        place = ", ".join([f"{self.generator}/{self.checkpoint}", *self.settings, f"space {self.space}", self.domain])
        return f"{place}, tier {self.tier}, K = {self.k}"

    @property
    def settings(self) -> list[str]:
        """The parameters of the generator in words; what is None is not in use."""
        return [f"{name}={value}" for name, value in sorted(self.params.items()) if value is not None]

    def as_row(self) -> dict[str, Any]:
        """The key as the first cells of a flat row; parameters as JSON."""
        return {**dataclasses.asdict(self), "params": json.dumps(dict(self.params), sort_keys=True)}


@dataclass(frozen=True)
class Board:
    """All methods on one key: methods first, the best first, controls and references after them.

    title: that of the key, with the weights where two boards would have the same. baseline: the row that every method
    is set against, "" where there is none. unranked: why nothing ranks here whatever the numbers, or "".
    """

    key: Key
    title: str
    columns: tuple[Shown, ...]
    rows: tuple[Row, ...]
    baseline: str = ""
    notes: tuple[str, ...] = ()
    unranked: str = ""

    def metrics(self) -> dict[str, list[Shown]]:
        """Metric -> its columns, in order."""
        found: dict[str, list[Shown]] = {}
        for shown in self.columns:
            found.setdefault(shown.metric, []).append(shown)
        return found

    def headline(self) -> Shown | None:
        """The column that sorts: the declared one, else the first that ranks, else the first that says what is better.

        Of those that have a number on this board; None where there is none.
        """
        there = {(entry.metric, entry.column) for row in self.rows for entry in row.entries if entry.mean is not None}
        columns = [shown for shown in self.columns if shown.name in there and shown.column.better != "neither"]
        declared = [shown for shown in columns if shown.column.headline]
        ranking = [shown for shown in columns if shown.ranked]
        return next(iter([*declared, *ranking, *columns]), None)


@dataclass(frozen=True)
class MeanRank:
    """A method's rank on each generator, and their mean; its interval is over generators, from six on."""

    method: str
    ranks: tuple[int, ...]
    mean: Interval


@dataclass(frozen=True)
class Critical:
    """Which methods differ over generators: the values of a critical-difference diagram (Demšar 2006).

    ranks: method and mean rank of its mean scores, the best first. difference: how far two of them must lie apart.
    together: methods that cannot be told apart, the largest sets; all of them where p is not below .05. p: Friedman's.
    """

    ranks: tuple[tuple[str, float], ...]
    difference: float
    together: tuple[tuple[str, ...], ...]
    p: float


@dataclass(frozen=True)
class Across:
    """The ranks in one column on all generators of a tier and K. notes: who is left out; tests, or why none.

    critical: None below six generators, or three methods that are ranked on all of them.
    """

    metric: str
    column: str
    tier: str
    k: int
    generators: tuple[str, ...]
    rows: tuple[MeanRank, ...]
    notes: tuple[str, ...]
    critical: Critical | None = None

    @property
    def title(self) -> str:
        """What stands above the table."""
        return f"{self.metric}.{self.column}: ranks across generators, tier {self.tier}, K = {self.k}"

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping for each mean rank, with the keys of the leaderboard's other rows."""
        place: dict[str, Any] = {
            "generator": "all",
            "checkpoint": "",
            "weights": "",
            "params": "{}",
            "space": "",
            "domain": "",
        }
        place |= {"tier": self.tier, "k": self.k, "role": "method"}
        n = len(self.generators)
        return [
            {
                **place,
                "method": row.method,
                "metric": self.metric,
                "column": f"mean rank in {self.column}",
                **row.mean._asdict(),
                "n": n,
                "expected": n,
                "rank": None,
                "mark": "",
                "p": None,
                "note": "; ".join(self.notes),
                "least": None,
            }
            for row in self.rows
        ]


@dataclass(frozen=True)
class Leaderboard:
    """The boards of all keys, ranks across generators, and notes on what is not on them.

    refused: how many records of changed code are not on them.
    """

    boards: tuple[Board, ...]
    notes: tuple[str, ...] = ()
    across: tuple[Across, ...] = field(default=())
    refused: int = 0

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping for each number: the table behind frame, CSV and plots. A mean rank has the generator "all"."""
        numbers = [
            {**key, "role": row.role, "method": row.method, **vars(entry), "least": shown.least}
            for board, key in ((board, board.key.as_row()) for board in self.boards)
            for row in board.rows
            for shown, entry in zip(board.columns, row.entries, strict=True)
        ]
        return numbers + [row for table in self.across for row in table.to_rows()]

    def to_frame(self) -> pd.DataFrame:
        """``to_rows`` as a DataFrame; what is missing is NaN."""
        import pandas as pd

        numbers = ("mean", "low", "high", "rank", "p", "least")
        frame = pd.DataFrame(self.to_rows())
        return frame.astype(dict.fromkeys(numbers, float)) if len(frame) else frame
