"""What a board says: its sentences, and the short table that one reads. Pure values, for terminal, files and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gdbench.boards.board import Board, Entry, Leaderboard, Shown
from gdbench.boards.cells import name
from gdbench.tiers import CAPS

BRIEF = 5
"""Columns of numbers in the short table, beside rank and method."""
NAMED = 4
"""Methods that a sentence names; the others are counted."""


@dataclass(frozen=True)
class AnswerRow:
    """A method in the short table. rank: in the column that sorts; None where it has none. entries: one a column."""

    role: str
    method: str
    rank: int | None
    tied: bool
    entries: tuple[Entry, ...]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The short form of a board. headline: the column that sorts, None where the board has no number."""

    title: str
    place: str
    sentences: tuple[str, ...]
    headline: Shown | None
    columns: tuple[Shown, ...]
    rows: tuple[AnswerRow, ...]
    baseline: str
    notes: tuple[str, ...]


def answer(board: Board) -> Answer:
    """The sentences and the short table of a board."""
    headline = board.headline()
    columns = _brief(board, headline)
    ranks = Counter(row.entry(*headline.name).rank for row in board.rows) if headline else Counter()
    rows = []
    for row in board.rows:
        rank = row.entry(*headline.name).rank if headline else None
        entries = tuple(row.entry(*shown.name) for shown in columns)
        rows.append(AnswerRow(row.role, row.method, rank, rank is not None and ranks[rank] > 1, entries, row.runs))
    return Answer(
        title=board.title,
        place=_place(board),
        sentences=tuple(_sentences(board, headline, columns)),
        headline=headline,
        columns=columns,
        rows=tuple(rows),
        baseline=board.baseline,
        notes=board.notes,
    )


def summary(leaderboard: Leaderboard) -> tuple[str, ...]:
    """Two or three sentences on all boards together; none where fewer than two boards rank a headline column."""
    ranked = [(board, shown) for board in leaderboard.boards if (shown := board.headline()) and _ranked(board, shown)]
    if len(ranked) < 2:
        return ()
    said = [f"{line}." for line in _each(ranked)] if len(ranked) <= NAMED else list(_counted(ranked))
    judged = [(board.baseline, mark) for board, shown in ranked for mark in _marks(board, shown).values()]
    if judged:
        above = sum(mark == "above" for _, mark in judged)
        baselines = _list(sorted({name(baseline) for baseline, _ in judged}))
        columns = _list(sorted({name(shown.column.name) for _, shown in ranked}))
        cases = f"{above} of {len(judged)} cases, one for each method on each board"
        said.append(f"Methods are above {baselines} in {columns} in {cases}.")
    return tuple(said)


def _each(ranked: Sequence[tuple[Board, Shown]]) -> Iterator[str]:
    """Who leads the headline column of each board."""
    for board, shown in ranked:
        leaders, column = [name(one) for one in _leaders(board, shown)], name(shown.column.name)
        where = f"{board.key.generator}/{board.key.checkpoint} in {board.key.space}"
        if leaders:
            yield f"{_list(leaders)} {'leads' if len(leaders) == 1 else 'lead'} {column} on {where}"
        else:
            yield f"no ranked method leads {column} on {where}"


def _counted(ranked: Sequence[tuple[Board, Shown]]) -> Iterator[str]:
    """On how many boards, of how many ranked methods, those that lead most often lead, and lead alone."""
    leads = Counter(method for board, shown in ranked for method in _leaders(board, shown))
    if leads:
        first, *others = [(name(method), count) for method, count in leads.most_common(NAMED)]
        counts = _list([f"{first[0]} leads {first[1]}", *(f"{one} {n}" for one, n in others)])
        sizes = [sum(row.entry(*shown.name).rank is not None for row in board.rows) for board, shown in ranked]
        many = f"{min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else str(sizes[0])
        yield f"Of {len(ranked)} boards of {many} methods {counts}, ties included."
    alone = Counter(found[0] for board, shown in ranked if len(found := _leaders(board, shown)) == 1)
    if alone:
        yield f"Alone stand {_list([f'{name(method)} on {n}' for method, n in alone.most_common(NAMED)])}."


def _brief(board: Board, headline: Shown | None) -> tuple[Shown, ...]:
    """The columns of the short table: those of the headline metric first, the others as they were declared."""
    there = {(entry.metric, entry.column) for row in board.rows for entry in row.entries}
    metric = headline.metric if headline else ""
    wanted = [shown for shown in board.columns if shown.name in there and _is_brief(shown, metric)]
    wanted += [headline] if headline and headline not in wanted else []
    return tuple(sorted(wanted, key=lambda shown: shown.metric != metric)[:BRIEF])


def _is_brief(shown: Shown, metric: str) -> bool:
    column = shown.column
    return column.brief or column.headline or (shown.metric == metric and column.ranked)


def _place(board: Board) -> str:
    key = board.key
    cap = f"up to {CAPS[key.tier]:,} images" if key.tier in CAPS else f"tier {key.tier}"
    within = ", ".join([f"space {key.space}", *key.settings, f"K = {key.k}", cap])
    return f"{key.generator}/{key.checkpoint} ({within})"


def _sentences(board: Board, headline: Shown | None, columns: Sequence[Shown]) -> Iterator[str]:
    """Who leads, who is not above the baseline, who is missing; each derived from intervals and counts."""
    shown = [one for one in columns if headline and one.metric == headline.metric and _ranked(board, one)]
    if shown:
        yield f"On {_place(board)}: {'; '.join(_led(board, shown))}."
    else:
        why = f": {board.unranked}" if board.unranked else ""
        yield f"On {_place(board)} nothing ranks{why}."
    if headline and (marks := _marks(board, headline)):
        yield _compared(marks, board.baseline, headline)
    methods = [row for row in board.rows if row.role == "method"]
    if headline:
        missing = [name(row.method) for row in methods if row.entry(*headline.name).state != "complete"]
        if missing:
            count = f"{len(missing)} of {len(methods)} {_are(len(missing))}"
            yield f"{count} incomplete or void, and not ranked: {_list(missing)}."


def _led(board: Board, columns: Sequence[Shown]) -> Iterator[str]:
    """Who leads which columns; columns of the same leaders are told together."""
    led: dict[tuple[str, ...], list[str]] = {}
    for shown in columns:
        led.setdefault(_leaders(board, shown), []).append(name(shown.column.name))
    for leaders, names in led.items():
        what = _list(names)
        ranked = max(len(_ranked(board, shown)) for shown in columns)
        if not leaders:
            yield f"no ranked method leads {what}, since an incomplete one is better"
        elif len(leaders) == 1:
            yield f"{name(leaders[0])} leads {what}" if ranked > 1 else f"{name(leaders[0])} alone is ranked in {what}"
        elif len(leaders) == ranked:
            yield f"no method is better than another in {what}"
        else:
            yield f"{_list([name(one) for one in leaders])} lead {what} and cannot be told apart"


def _compared(marks: dict[str, str], baseline: str, headline: Shown) -> str:
    lower = [name(method) for method, mark in marks.items() if mark != "above"]
    what = f"{name(baseline)} in {name(headline.column.name)}"
    if len(lower) in (0, len(marks)) and len(marks) > 1:
        return f"{'None' if lower else 'All'} of {len(marks)} {'is' if lower else 'are'} above {what}."
    if not lower:
        return f"It is above {what}."
    return f"{len(lower)} of {len(marks)} {_are(len(lower))} not above {what}: {_list(lower)}."


def _ranked(board: Board, shown: Shown) -> dict[str, int]:
    entries = {row.method: row.entry(*shown.name) for row in board.rows}
    return {method: entry.rank for method, entry in entries.items() if entry.rank is not None}


def _leaders(board: Board, shown: Shown) -> tuple[str, ...]:
    """The methods that no other is better than, in the order of the board."""
    return tuple(method for method, rank in _ranked(board, shown).items() if rank == 1)


def _marks(board: Board, shown: Shown) -> dict[str, str]:
    entries = {row.method: row.entry(*shown.name) for row in board.rows}
    return {method: entry.mark for method, entry in entries.items() if entry.mark}


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _list(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``, or the first of many and how many more."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
