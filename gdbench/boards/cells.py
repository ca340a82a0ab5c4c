"""Cells of a leaderboard as text: numbers and marks, and text that CSV, Markdown and LaTeX obey nothing in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gdbench.console import clean
from gdbench.specs import Column

if TYPE_CHECKING:
    from gdbench.boards.board import Across, Entry, Row, Shown
    from gdbench.boards.statistics import Interval

ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}
NAMELESS = "(no name)"


@dataclass(frozen=True)
class Symbols:
    """How a cell says how a method stands to the baseline, and that it is incomplete, void or not ranked."""

    above: str
    same: str
    below: str
    incomplete: str
    void: str
    none: str

    def mark(self, entry: Entry) -> str:
        """The symbol of an entry; "" where its column sets nobody against a baseline and nothing is missing."""
        if entry.state != "complete":
            return self.void if entry.state == "void" else f"{self.incomplete}{entry.n}/{entry.expected}"
        return {"above": self.above, "not separable": self.same, "below": self.below}.get(entry.mark, "")

    def legend(self, baseline: str) -> str:
        """What the symbols say, in one line."""
        against = f"{self.above} above {baseline}, {self.same} not separable from it, {self.below} below it; "
        rest = (
            f"{self.incomplete}n/N incomplete, {self.void} no number (the reason stands below), {self.none} not ranked"
        )
        return (against if baseline else "") + rest


SIGNS = Symbols("▲", "≈", "▼", "◐ ", "∅", "–")
PLAIN = Symbols("+", "~", "-", "! ", "void", ".")
"""For terminals whose encoding has no others."""


def grid(columns: Sequence[Shown], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of one metric's full table, as text."""
    head = ["", *(header(shown.column) for shown in columns)]
    return head, [[label(row), *(cell(row.entry(*shown.name)) for shown in columns)] for row in rows]


def header(column: Column) -> str:
    """The name of a column and what is better in it."""
    return f"{clean(column.name) or NAMELESS}{ARROWS[column.better]}"


def across_grid(table: Across) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of ranks across generators, as text."""
    head = ["", *table.generators, "mean rank"]
    return head, [[name(row.method), *map(str, row.ranks), _mean_rank(row.mean)] for row in table.rows]


def _mean_rank(mean: Interval) -> str:
    return f"{mean.mean:.3g}" + ("" if mean.low is None else f" ({mean.low:.3g} to {mean.high:.3g})")


def name(text: str) -> str:
    """A name as one line of text, never blank."""
    return clean(text) or NAMELESS


def label(row: Row) -> str:
    """The name of a row, with its role where it is not a ranked method."""
    return name(row.method) if row.role == "method" else f"{name(row.method)} ({row.role})"


def cell(entry: Entry) -> str:
    """``rank 1: 0.861 (0.84 to 0.88) 3/3, above``; the reason where there is no number."""
    count = f"{entry.n}/{entry.expected}"
    if entry.mean is None:
        return f"void {count}: {entry.note}" if entry.note else f"void {count}"
    rank = "" if entry.rank is None else f"rank {entry.rank}: "
    within = "" if entry.low is None or entry.high is None else f" ({entry.low:.3g} to {entry.high:.3g})"
    return f"{rank}{entry.mean:.3g}{within} {count}" + (f", {entry.mark}" if entry.mark else "")


def brief(entry: Entry, symbols: Symbols) -> str:
    """``.86 ▲``: the number and the mark, without interval; the symbol of void where there is no number."""
    number = "" if entry.mean is None else short(entry.mean)
    return " ".join(filter(None, (number, symbols.mark(entry))))


def short(value: float) -> str:
    """A number with three digits, in six characters at most up to a billion: ``.861``, ``12.3``, ``91.7k``."""
    if value and abs(value) < 0.9995:
        return re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}" if abs(value) >= 0.0005 else f"{value:.0e}")
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def inert(value: Any) -> Any:
    """A CSV cell; text that a spreadsheet would take for a formula is preceded by an apostrophe."""
    text = clean(value) if isinstance(value, str) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@")) else text


def markdown(text: str) -> str:
    """Text in which no character means anything to Markdown, and that leads nowhere."""
    escaped = re.sub(r"([\\`*_\[\]<>|~&#!])", r"\\\1", clean(text))
    return re.sub(
        r"(?i)(https?|ftp)://|www\.", lambda found: found[0].replace("://", "\\://").replace(".", "\\."), escaped
    )


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table of plain text; ``head`` is Markdown already."""
    rows = [head, ["---"] * len(head), *([markdown(value) for value in row] for row in body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "≈": r"$\approx$",
    "◐": r"$\circ$",
    "∅": r"$\emptyset$",
    "–": "--",
} | {character: f"\\{character}" for character in "{}$&#_%"}


def latex(text: str) -> str:
    """Text that LaTeX sets as it stands; characters that pdflatex does not know become question marks."""
    return "".join(_LATEX.get(character, character if ord(character) < 256 else "?") for character in clean(text))
