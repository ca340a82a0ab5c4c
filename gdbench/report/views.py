"""A board as pages show it: its sentences, a short table with dots and strips, a picture, and texts to copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gdbench.boards.answer import Answer, AnswerRow, answer
from gdbench.boards.board import Board, Entry, Leaderboard, Row, Shown
from gdbench.boards.cells import ARROWS, SIGNS, grid, markdown, markdown_table, name, short
from gdbench.boards.exports import latex_table, short_table, to_csv, to_latex
from gdbench.boards.selection import beyond_cap
from gdbench.boards.statistics import mean_of
from gdbench.report import charts, images
from gdbench.report.evidence import Direction, Evidence
from gdbench.report.images import Verbatim
from gdbench.report.places import anchor, generator_page, run_page, score_place
from gdbench.tiers import CAPS

Known = Mapping[str, Evidence]
"""Id of a run -> its evidence."""


@dataclass(frozen=True)
class Cell:
    """A number as a page shows it. value: all its digits, "" where there is none. note: interval, seeds and reasons.

    page: the page of a run that has it and the place there, or "".
    """

    text: str
    value: str
    symbol: str
    note: str
    dot: charts.Dot | None
    page: str = ""


@dataclass(frozen=True)
class RunLink:
    """A run in a list."""

    seed: int
    status: str
    page: str


@dataclass(frozen=True)
class Best:
    """A direction that stands for others: its strip, and what it is in words. leads: best of all beside it."""

    label: str
    strip: images.Shown | None
    page: str
    leads: bool = False


@dataclass(frozen=True)
class RowView:
    """A row of the short table. rank: as text, "=" where it is shared. paper: where the method was published, or "".

    minutes: of CPU that the discovery of one run took, the mean over runs, as text, or "". over: images that a run
    rendered, where they are more than its tier allows, else 0.
    """

    role: str
    method: str
    rank: str
    paper: str
    cells: tuple[Cell, ...]
    runs: tuple[RunLink, ...]
    best: Best | None
    failures: tuple[str, ...]
    minutes: str
    over: int


@dataclass(frozen=True)
class Head:
    """The head of a column. meaning: its summary. better: "higher", "lower" or "neither"."""

    metric: str
    name: str
    arrow: str
    better: str
    meaning: str
    headline: bool
    ranks: bool = False


@dataclass(frozen=True)
class BoardView:
    """Everything that pages show of a board, but for the galleries. copies: kind -> text.

    preview: whether the checkpoint lacks something that its card asks of it. voids: a line for each method and reason
    for which it has no number in the short table.
    """

    board: Board
    said: Answer
    anchor: str
    page: str
    heads: tuple[Head, ...]
    rows: tuple[RowView, ...]
    picture: charts.Picture | None
    copies: Mapping[str, Verbatim]
    legend: str
    preview: bool
    voids: tuple[str, ...]

    @property
    def told(self) -> str:
        """What the columns that rank mean, in a sentence: "recall: how many ...; precision: ..."."""
        meant = [f"{one.name}: {one.meaning}" for one in self.heads if one.ranks]
        return f"{'; '.join(meant)}." if meant else ""


def board_view(board: Board, known: Known, papers: Mapping[str, str], most: int) -> BoardView:
    """The view of a board. papers: method -> where it was published. most: bytes of one strip."""
    said = answer(board)
    axes = _axes(said)
    baselines = next((row.entries for row in said.rows if row.method == board.baseline), None)
    return BoardView(
        board=board,
        said=said,
        anchor=anchor(board.key),
        page=generator_page(board.key),
        heads=tuple(head(shown, shown == said.headline) for shown in said.columns),
        rows=tuple(
            _row(row, failures.failures, axes, baselines, known, papers, most)
            for row, failures in zip(said.rows, board.rows, strict=True)
        ),
        picture=picture_of(board, said, known),
        copies=_copies(board, said),
        legend=SIGNS.legend(said.baseline),
        preview=any(run in known and known[run].record.checkpoint_status != "ready" for run in _runs(board)),
        voids=tuple(_voids(said)),
    )


def _runs(board: Board) -> Iterator[str]:
    return (run for row in board.rows for run in row.runs)


def _voids(said: Answer) -> Iterator[str]:
    for row in said.rows:
        reasons: dict[str, list[str]] = {}
        for entry in row.entries:
            if entry.mean is None:
                reasons.setdefault(entry.note or "not measured", []).append(name(entry.column))
        for why, columns in reasons.items():
            yield f"{name(row.method)}: no {', '.join(columns)}: {why}"


def head(shown: Shown, headline: bool = False) -> Head:
    """The head of a column."""
    column = shown.column
    unit = f" [{column.unit}]" if column.unit else ""
    arrow = ARROWS[column.better].strip()
    meaning = f"{column.summary}{unit}"
    return Head(name(shown.metric), name(column.name), arrow, column.better, meaning, headline, shown.ranked)


def _axes(said: Answer) -> list[charts.Axis | None]:
    """An axis for each column that is bounded; columns of one metric and range have it in common."""
    kinds = [(shown.metric, shown.column.range) if _bounded(shown) else None for shown in said.columns]
    entries: dict[object, list[Entry]] = {}
    for row in said.rows:
        for kind, entry in zip(kinds, row.entries, strict=True):
            entries.setdefault(kind, []).append(entry)
    return [None if kind is None else charts.dot_axis(entries.get(kind, ())) for kind in kinds]


def _row(
    row: AnswerRow,
    failures: tuple[str, ...],
    axes: Sequence[charts.Axis | None],
    baselines: Sequence[Entry] | None,
    known: Known,
    papers: Mapping[str, str],
    most: int,
) -> RowView:
    behind: Sequence[Entry | None] = baselines or [None] * len(axes)
    runs = [known[run] for run in row.runs if run in known]
    method = runs[0].record.cell.method if runs else row.method
    return RowView(
        role=row.role,
        method=name(row.method),
        rank=SIGNS.none if row.rank is None else f"{row.rank}{'=' if row.tied else ''}",
        paper=papers.get(method, ""),
        cells=tuple(
            replace(cell(*each), page=page_of(each[0], runs)) for each in zip(row.entries, axes, behind, strict=True)
        ),
        runs=tuple(RunLink(one.record.cell.seed, one.record.status, run_page(one.record.id)) for one in runs),
        best=_best(runs, most),
        failures=failures,
        minutes=_minutes(runs),
        over=max((beyond_cap(one.record, CAPS.get(one.record.cell.tier)) for one in runs), default=0),
    )


def page_of(entry: Entry, runs: Sequence[Evidence]) -> str:
    """The first run that has a number for the entry, else the first that says why there is none."""
    there = [one.record for one in runs if entry.column in one.record.scores.get(entry.metric, {})]
    there.sort(key=lambda record: record.scores[entry.metric][entry.column].value is None)
    return f"{run_page(there[0].id)}#{score_place(entry.metric, entry.column)}" if there else ""


def _minutes(runs: Sequence[Evidence]) -> str:
    seconds = [cost.cpu_seconds for one in runs if (cost := one.record.costs.get("discover")) is not None]
    if not seconds:
        return ""
    minutes = mean_of(seconds) / 60
    return short(minutes) if minutes >= 0.01 else "< .01"


def cell(entry: Entry, axis: charts.Axis | None, baseline: Entry | None) -> Cell:
    """The cell of an entry; with an axis it has a dot."""
    text = SIGNS.void if entry.mean is None else short(entry.mean)
    symbol = "" if entry.mean is None else SIGNS.mark(entry)
    value = "" if entry.mean is None else repr(entry.mean)
    return Cell(text, value, symbol, _note(entry), charts.dot(entry, axis, baseline) if axis else None)


def _note(entry: Entry) -> str:
    parts = [f"{entry.n} of {entry.expected} seeds"]
    if entry.low is not None and entry.high is not None:
        parts.append(f"95 % interval {short(entry.low)} to {short(entry.high)}")
    parts += [entry.mark] if entry.mark else []
    parts += ["void" if entry.mean is None else "incomplete"] if entry.state != "complete" else []
    return "; ".join([*parts, *([entry.note] if entry.note else [])])


def _best(runs: Sequence[Evidence], most: int) -> Best | None:
    """The direction with the largest share in all runs of a row; None where no share is known."""
    found = [(one, direction) for one in runs for direction in one.directions if direction.share > 0]
    if not found:
        return None
    one, direction = max(found, key=lambda pair: (pair[1].share, -pair[0].record.cell.seed, -pair[1].index))
    return shown_direction(one, direction, f"{direction.leading} {short(direction.share)}", most)


def shown_direction(one: Evidence, direction: Direction, label: str, most: int) -> Best:
    """A direction with its strip, where there is one."""
    strip = images.strip(one.strips[0], direction.index, most) if one.strips else None
    return Best(label, strip, f"{run_page(one.record.id)}#d{direction.index}")


def _copies(board: Board, said: Answer) -> dict[str, Verbatim]:
    titles, body = short_table(said)
    brief = _only(board, said.columns)
    return {
        "CSV": Verbatim(to_csv(brief)),
        "Markdown": _markdown(titles, body),
        "LaTeX": Verbatim(to_latex(brief)),
    }


def metric_copies(board: Board, columns: Sequence[Shown]) -> dict[str, Verbatim]:
    """The full table of a metric as texts to copy. columns: those of the metric."""
    titles, body = grid(columns, board.rows)
    caption, roles = f"{board.title}: {name(columns[0].metric)}", [row.role for row in board.rows]
    return {
        "CSV": Verbatim(to_csv(_only(board, columns))),
        "Markdown": _markdown(titles, body),
        "LaTeX": Verbatim(latex_table(caption, "l" * len(titles), titles, body, roles) + "\n"),
    }


def _only(board: Board, columns: Sequence[Shown]) -> Leaderboard:
    rows = [replace(row, entries=tuple(row.entry(*shown.name) for shown in columns)) for row in board.rows]
    return Leaderboard((replace(board, columns=tuple(columns), rows=tuple(rows)),))


def _markdown(titles: Sequence[str], body: Sequence[Sequence[str]]) -> Verbatim:
    return Verbatim(markdown_table([markdown(title) for title in titles], body) + "\n")


def picture_of(board: Board, said: Answer, known: Known) -> charts.Picture | None:
    """The first two bounded columns that claim to rank beside the headline one, against one another; None without."""
    headline = said.headline
    if headline is None:
        return None
    pair = [
        shown
        for shown in said.columns
        if shown.metric == headline.metric and shown.column.ranked and shown != headline and _bounded(shown)
    ][:2]
    if len(pair) < 2:
        return None
    x, y = pair
    points = [
        charts.Point(name(row.method), row.entry(*x.name), row.entry(*y.name), seeds, row.role, colour)
        for (row, colour), seeds in zip(coloured(board), _seeds(board, known, x, y), strict=True)
    ]
    labels = (name(x.column.name), name(y.column.name))
    return charts.scatter(f"{labels[0]} and {labels[1]}", labels, points, name(board.baseline))


def _bounded(shown: Shown) -> bool:
    return None not in shown.column.range


def coloured(board: Board) -> list[tuple[Row, int]]:
    """Rows with a number of a colour each; a colour comes again where there are more rows than colours."""
    return [(row, index % charts.COLOURS) for index, row in enumerate(board.rows)]


def _seeds(board: Board, known: Known, x: Shown, y: Shown) -> Iterator[tuple[tuple[float, float], ...]]:
    """The points of a row's seeds; none where the board did not count all of them, so that no other point is drawn."""
    for row in board.rows:
        runs = [known[run].record for run in row.runs if run in known]
        pairs = [
            (run.scores.get(x.metric, {}).get(x.name[1]), run.scores.get(y.metric, {}).get(y.name[1])) for run in runs
        ]
        numbers = tuple((a.value, b.value) for a, b in pairs if a and b and a.value is not None and b.value is not None)
        counted = {row.entry(*x.name).n, row.entry(*y.name).n}
        yield numbers if counted == {len(numbers)} else ()


def links(known: Known, where: Callable[[Evidence], bool]) -> list[tuple[str, str, str]]:
    """Id, page and reason of runs, in order of ids."""
    chosen = [known[run] for run in sorted(known) if where(known[run])]
    return [(one.record.id, run_page(one.record.id), one.record.reason) for one in chosen]
