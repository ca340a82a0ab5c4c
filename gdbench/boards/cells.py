"""Cells of a leaderboard as text: numbers with interval and count, Markdown and CSV that obey nothing in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gdbench.console import clean
from gdbench.specs import Column

if TYPE_CHECKING:
    from gdbench.boards.across import Across
    from gdbench.boards.board import Board, Entry, Row
    from gdbench.boards.statistics import Interval

ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}


def grid(board: Board, metric: str, columns: Sequence[Column]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of one metric's table, as text."""
    head = ["", *(f"{column.name}{ARROWS[column.better]}" for column in columns)]
    return head, [[label(row), *(cell(row.entry(metric, column.name)) for column in columns)] for row in board.rows]


def across_grid(table: Across) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of ranks across generators, as text."""
    head = ["", *table.generators, "mean rank"]
    return head, [[row.method, *map(str, row.ranks), _mean_rank(row.mean)] for row in table.rows]


def _mean_rank(mean: Interval) -> str:
    return f"{mean.mean:.3g}" + ("" if mean.low is None else f" ({mean.low:.3g} to {mean.high:.3g})")


def label(row: Row) -> str:
    """The name of a row, with its role where it is not a ranked method."""
    return row.method if row.role == "method" else f"{row.method} ({row.role})"


def cell(entry: Entry) -> str:
    """``rank 1: 0.861 (0.84 to 0.88) 3/3``; the reason where there is no number."""
    count = f"{entry.n}/{entry.expected}"
    if entry.mean is None:
        return f"void {count}: {entry.note}" if entry.note else f"void {count}"
    rank = "" if entry.rank is None else f"rank {entry.rank}: "
    within = "" if entry.low is None or entry.high is None else f" ({entry.low:.3g} to {entry.high:.3g})"
    return f"{rank}{entry.mean:.3g}{within} {count}"


def inert(value: Any) -> Any:
    """A CSV cell; text that a spreadsheet would take for a formula is preceded by an apostrophe."""
    text = clean(value) if isinstance(value, str) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@")) else text


def markdown(text: str) -> str:
    """Text in which no character means anything to Markdown."""
    return re.sub(r"([\\`*_\[\]<>|~&#!])", r"\\\1", clean(text))


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table of plain text."""
    rows = [head, ["---"] * len(head), *([markdown(value) for value in row] for row in body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
