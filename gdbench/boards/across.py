"""Ranks across generators: each generator's own ranks and their mean (PROTOCOL, "Statistics and leaderboard").

There is no weighted total. A checkpoint takes part once, in the space that its family names first and with the
family's own parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gdbench.boards.board import Across, Board, Critical, Entry, MeanRank, Row
from gdbench.boards.rules import Rules
from gdbench.boards.statistics import (
    LEVEL,
    MIN_GENERATORS,
    Better,
    Interval,
    Sample,
    critical_difference,
    friedman,
    holm_wilcoxon,
    interval,
    mean_of,
    mean_ranks,
    pooled,
    runs_within,
)

ALIKE = "one architecture on one domain"
"""How the note ends that says that some of the generators are no independent witnesses."""


def across(boards: Sequence[Board], rules: Rules) -> tuple[Across, ...]:
    """The tables of all columns that rank methods on two checkpoints at least, by tier and K."""
    groups: dict[tuple[str, int], list[Board]] = {}
    for board in boards:
        groups.setdefault((board.key.tier, board.key.k), []).append(board)
    return tuple(
        table
        for group in groups.values()
        for metric, column in dict.fromkeys(shown.name for board in group for shown in board.columns)
        if (table := _table(group, metric, column, rules)) is not None
    )


def _representing(boards: Sequence[Board], rules: Rules) -> tuple[list[Board], list[Board]]:
    """One board for each checkpoint, and the others: its headline space and parameters, or what comes nearest."""

    def far(board: Board) -> tuple[bool, bool]:
        key = board.key
        own = rules.params.get(key.generator)
        return key.space != rules.spaces.get(key.generator, key.space), own is not None and dict(key.params) != dict(
            own
        )

    chosen: dict[tuple[str, str, str], Board] = {}
    for board in sorted(boards, key=far):
        chosen.setdefault((board.key.generator, board.key.checkpoint, board.key.weights), board)
    kept = [board for board in boards if board in chosen.values()]
    return kept, [board for board in boards if board not in kept]


def _table(group: Sequence[Board], metric: str, column: str, rules: Rules) -> Across | None:
    """Ranks of the methods that are ranked on every checkpoint; None where none ranks any, or there is one alone.

    They are the ranks on the boards, where whoever is left out here still stands above those it beats: so no failure
    improves a rank.
    """
    boards, others = _representing(group, rules)
    found = [_methods(board, metric, column) for board in boards]
    names = sorted({name for entries in found for name in entries})
    if len(boards) < 2 or not any(entry.rank is not None for entries in found for entry in entries.values()):
        return None
    complete = [name for name in names if all(_rank(entries, name) is not None for entries in found)]
    rows = [_mean_rank(name, [entries[name] for entries in found]) for name in complete]
    scores = [[_mean(entries[name]) for name in complete] for entries in found]
    critical = _critical(scores, complete, _better(boards, metric, column))
    return Across(
        metric=metric,
        column=column,
        tier=boards[0].key.tier,
        k=boards[0].key.k,
        generators=tuple(_names(boards)),
        rows=tuple(sorted(rows, key=lambda row: (row.mean.mean, row.method))),
        notes=(
            *_notes(scores, complete, [name for name in names if name not in complete]),
            *([_told_apart(critical)] if critical else []),
            *_architectures(boards),
            *(f"each checkpoint counts once: {board.title} is left out" for board in others),
        ),
        critical=critical,
    )


def _better(boards: Sequence[Board], metric: str, column: str) -> Better:
    """What is better in a column that ranks."""
    shown = (one for board in boards for one in board.columns if one.name == (metric, column))
    return "lower" if next(shown).column.better == "lower" else "higher"


def _critical(scores: Sequence[Sequence[float]], names: Sequence[str], better: Better) -> Critical | None:
    """Which methods differ in mean scores (generators, methods); None where there are too few of either."""
    if len(scores) < MIN_GENERATORS or len(names) < 3:
        return None
    ranks = sorted(zip(mean_ranks(scores, better), names, strict=True))
    ordered = [name for _, name in ranks]
    p, reach = friedman(scores), critical_difference(len(names), len(scores))
    stretches = runs_within([rank for rank, _ in ranks], reach) if p < 1 - LEVEL else [(0, len(names) - 1)]
    together = tuple(tuple(ordered[first : last + 1]) for first, last in stretches)
    return Critical(tuple((name, rank) for rank, name in ranks), reach, together, p)


def _told_apart(critical: Critical) -> str:
    """What Nemenyi's test says, in a line."""
    if critical.p >= 1 - LEVEL:
        return "Nemenyi: not asked, since Friedman's test finds no difference"
    sets = "; ".join(", ".join(names) for names in critical.together)
    apart = f"cannot be told apart: {sets}" if sets else "all differ"
    return f"Nemenyi: mean ranks of scores differ from {critical.difference:.3g} on; {apart}"


def _methods(board: Board, metric: str, column: str) -> dict[str, Entry]:
    return {row.method: entry for row in board.rows if row.role == "method" for entry in _entries(row, metric, column)}


def _entries(row: Row, metric: str, column: str) -> Iterator[Entry]:
    return (entry for entry in row.entries if (entry.metric, entry.column) == (metric, column))


def _rank(entries: Mapping[str, Entry], name: str) -> int | None:
    return entries[name].rank if name in entries else None


def _mean_rank(name: str, entries: Sequence[Entry]) -> MeanRank:
    ranks = tuple(entry.rank for entry in entries if entry.rank is not None)
    if len(ranks) < MIN_GENERATORS:
        return MeanRank(name, ranks, Interval(mean_of(ranks), None, None))
    return MeanRank(name, ranks, interval(Sample(mean_of(ranks), len(ranks), pooled([ranks])), (1.0, None)))


def _names(boards: Sequence[Board]) -> list[str]:
    """A name for each board: generator and checkpoint, numbered where these are not enough."""
    names = [f"{board.key.generator}/{board.key.checkpoint}" for board in boards]
    return [f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _notes(scores: Sequence[Sequence[float]], complete: Sequence[str], left_out: Sequence[str]) -> Iterator[str]:
    """Who is left out, and tests on mean scores (generators, methods), or why there are none."""
    if left_out:
        yield f"not complete on every generator, so not ranked across them: {', '.join(left_out)}"
    if len(scores) < MIN_GENERATORS:
        yield f"intervals and tests across generators need {MIN_GENERATORS} generators, there are {len(scores)}"
    elif len(complete) > 1:
        yield from _tests(scores, complete)


def _architectures(boards: Sequence[Board]) -> Iterator[str]:
    """A line for each family that stands several times on one domain: these are no independent witnesses."""
    counts = Counter((board.key.generator, board.key.domain) for board in boards)
    for (generator, domain), count in counts.items():
        if count > 1:
            yield f"{count} of the {len(boards)} are {generator} on {domain}: {ALIKE}"


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
