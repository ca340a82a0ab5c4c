"""Ranks across generators (PROTOCOL.md section 7): each generator's own ranks and their mean. No weighted total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gdbench.boards.board import Board, Entry, Row
from gdbench.boards.statistics import MIN_GENERATORS, Interval, friedman, holm_wilcoxon, interval


@dataclass(frozen=True)
class MeanRank:
    """A method's rank on each generator, and their mean; its interval is over generators, from six on."""

    method: str
    ranks: tuple[int, ...]
    mean: Interval


@dataclass(frozen=True)
class Across:
    """The ranks in one column on all generators of a tier and K. notes: who is left out; tests, or why none."""

    metric: str
    column: str
    tier: str
    k: int
    generators: tuple[str, ...]
    rows: tuple[MeanRank, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """What stands above the table."""
        return f"{self.metric}.{self.column}: ranks across generators, tier {self.tier}, K = {self.k}"

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping for each mean rank, with the keys of the leaderboard's other rows."""
        place = {"generator": "all", "checkpoint": "", "domain": "", "tier": self.tier, "k": self.k, "role": "method"}
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
                "note": "; ".join(self.notes),
            }
            for row in self.rows
        ]


def across(boards: Sequence[Board]) -> tuple[Across, ...]:
    """The tables of all columns that rank methods on two generators at least, by tier and K."""
    groups: dict[tuple[str, int], list[Board]] = {}
    for board in boards:
        groups.setdefault((board.tier, board.k), []).append(board)
    return tuple(
        table
        for group in groups.values()
        if len(group) > 1
        for metric, column in dict.fromkeys(
            (metric, column.name) for board in group for metric, column in board.columns
        )
        if (table := _table(group, metric, column)) is not None
    )


def _table(boards: Sequence[Board], metric: str, column: str) -> Across | None:
    """Ranks of the methods that are ranked on every board; None where no board ranks any.

    They are the ranks on the boards, where whoever is left out here still stands above those it beats: so no failure
    improves a rank.
    """
    found = [_methods(board, metric, column) for board in boards]
    names = sorted({name for entries in found for name in entries})
    if not any(entry.rank is not None for entries in found for entry in entries.values()):
        return None
    complete = [name for name in names if all(_rank(entries, name) is not None for entries in found)]
    rows = [_mean_rank(name, [entries[name] for entries in found]) for name in complete]
    return Across(
        metric=metric,
        column=column,
        tier=boards[0].tier,
        k=boards[0].k,
        generators=tuple(_names(boards)),
        rows=tuple(sorted(rows, key=lambda row: (row.mean.mean, row.method))),
        notes=tuple(_notes(found, complete, [name for name in names if name not in complete])),
    )


def _methods(board: Board, metric: str, column: str) -> dict[str, Entry]:
    return {row.method: entry for row in board.rows if row.role == "method" for entry in _entries(row, metric, column)}


def _entries(row: Row, metric: str, column: str) -> Iterator[Entry]:
    return (entry for entry in row.entries if (entry.metric, entry.column) == (metric, column))


def _rank(entries: Mapping[str, Entry], name: str) -> int | None:
    return entries[name].rank if name in entries else None


def _mean_rank(name: str, entries: Sequence[Entry]) -> MeanRank:
    ranks = tuple(entry.rank for entry in entries if entry.rank is not None)
    mean = interval(ranks)
    return MeanRank(name, ranks, mean if len(ranks) >= MIN_GENERATORS else Interval(mean.mean, None, None))


def _names(boards: Sequence[Board]) -> list[str]:
    """A name for each board: generator and checkpoint, numbered where these are not enough."""
    names = [f"{board.generator}/{board.checkpoint}" for board in boards]
    return [f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _notes(found: Sequence[Mapping[str, Entry]], complete: Sequence[str], left_out: Sequence[str]) -> Iterator[str]:
    if left_out:
        yield f"not complete on every generator, so not ranked across them: {', '.join(left_out)}"
    if len(found) < MIN_GENERATORS:
        yield f"intervals and tests across generators need {MIN_GENERATORS} generators, there are {len(found)}"
    elif len(complete) > 1:
        yield from _tests([[_mean(entries[name]) for name in complete] for entries in found], complete)


def _mean(entry: Entry) -> float:
    assert entry.mean is not None
    return entry.mean


def _tests(scores: Sequence[Sequence[float]], names: Sequence[str]) -> Iterator[str]:
    """What the tests say of mean scores (generators, methods)."""
    if len(names) > 2:
        yield f"Friedman: p = {friedman(scores):.3g}"
    corrected = holm_wilcoxon(scores)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    listed = "; ".join(f"{names[i]} and {names[j]} p = {corrected[i, j]:.3g}" for i, j in pairs)
    yield f"Wilcoxon, corrected by Holm: {listed}"
