"""The page of a generator beyond its tables: factor galleries, methods in pairs, quality over cost, all metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gdbench.boards.board import Board, Row, Shown
from gdbench.boards.cells import SIGNS, grid, name, short
from gdbench.boards.compare import Kept, Side, compare
from gdbench.boards.statistics import mean_of
from gdbench.errors import UsageError
from gdbench.report import charts
from gdbench.report.evidence import Evidence
from gdbench.report.views import Best, Known, coloured, head, shown_direction


@dataclass(frozen=True)
class Gallery:
    """Who finds what. methods: the columns. factors: the rows, a cell for each method, None where it has none.

    gates: factor that does not count -> the gate that it fails.
    """

    methods: tuple[str, ...]
    factors: tuple[tuple[str, tuple[Best | None, ...]], ...]
    gates: Mapping[str, str]


def gallery(board: Board, known: Known, most: int) -> Gallery | None:
    """For each factor and row the best direction of its seeds, and the mean over seeds of what their best ones do.

    most: bytes of all strips together. None where no run has a table of factors.
    """
    rows = [(row, [known[run] for run in row.runs if run in known and known[run].best]) for row in board.rows]
    rows = [(row, runs) for row, runs in rows if runs]
    factors = list(dict.fromkeys(factor for _, runs in rows for one in runs for factor in one.best))
    if not factors:
        return None
    each = most // (len(factors) * len(rows))
    cells = [(factor, tuple(_cell(runs, factor, each) for _, runs in rows)) for factor in factors]
    gates = {factor: gate for _, runs in rows for one in runs for factor, gate in one.gates.items()}
    return Gallery(tuple(name(row.method) for row, _ in rows), tuple(cells), gates)


def _cell(runs: Sequence[Evidence], factor: str, most: int) -> Best | None:
    there = [one for one in runs if factor in one.best]
    if not there:
        return None
    best = max(there, key=lambda one: (one.best[factor][1], -one.record.cell.seed))
    mean = mean_of([one.best[factor][1] for one in there])
    return shown_direction(best, best.directions[best.best[factor][0]], short(mean), most)


@dataclass(frozen=True)
class Matrix:
    """Each method (row) against each (column) in the headline column: symbol, difference and interval in words."""

    column: str
    methods: tuple[str, ...]
    cells: tuple[tuple[tuple[str, str, str], ...], ...]
    tally: tuple[str, ...]


def matrix(board: Board, known: Known) -> Matrix | None:
    """Paired differences over the seeds that both have, uncorrected; None for fewer than two methods."""
    headline = board.headline()
    rows = [row for row in board.rows if row.role == "method" and any(run in known for run in row.runs)]
    if headline is None or len(rows) < 2:
        return None
    sides = [_side(row, known) for row in rows]
    cells = tuple(tuple(_against(a, b, headline) for b in sides) for a in sides)
    tally = tuple(
        "{} wins, {} ties, {} losses".format(*(sum(one[0] == symbol for one in line) for symbol in _SYMBOLS))
        for line in cells
    )
    return Matrix(name(headline.column.name), tuple(name(row.method) for row in rows), cells, tally)


_SYMBOLS = (SIGNS.above, SIGNS.same, SIGNS.below)


def _side(row: Row, known: Known) -> Side:
    records = [known[run].record for run in row.runs if run in known]
    return Side(row.method, {record.cell.seed: Kept(record, {}) for record in records})


def _against(a: Side, b: Side, shown: Shown) -> tuple[str, str, str]:
    if a is b:
        return "", "", ""
    try:
        found = compare(a, b, {shown.metric: (shown.column,)}).columns
    except UsageError as error:
        return SIGNS.void, "", str(error)
    if not found or found[0].difference is None:
        return SIGNS.void, "", found[0].void if found else "not measured"
    one = found[0]
    if one.low is None or one.high is None:
        return SIGNS.none, short(one.difference or 0.0), "no interval"
    symbol = {"a": SIGNS.above, "b": SIGNS.below, "": SIGNS.same}[one.better]
    within = f"{short(one.low)} to {short(one.high)} over {one.n if one.over == 'seeds' else 'the'} {one.over}"
    return symbol, short(one.difference or 0.0), within


def cost_picture(board: Board, known: Known) -> charts.Picture | None:
    """The headline column over the images that discovery rendered; None where nothing is known of either."""
    headline = board.headline()
    if headline is None:
        return None
    points = []
    for row, colour in coloured(board):
        costs = [known[run].record.costs.get("discover") for run in row.runs if run in known]
        images = [float(cost.images) for cost in costs if cost is not None]
        entry = row.entry(*headline.name)
        if images:
            points.append((charts.Point(name(row.method), entry, entry, (), row.role, colour), mean_of(images)))
    labels = ("images rendered in discovery", name(headline.column.name))
    return charts.against_cost(f"{labels[1]} over cost", labels, points)


@dataclass(frozen=True)
class Metric:
    """All columns of a metric as a table. meanings: name -> what it says."""

    name: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    meanings: tuple[tuple[str, str], ...]


def all_metrics(board: Board) -> list[Metric]:
    """The full tables of a board, by metric."""
    found = []
    for metric, columns in board.metrics().items():
        titles, body = grid(columns, board.rows)
        meanings = [(head(shown).name, head(shown).meaning) for shown in columns]
        found.append(Metric(metric, tuple(titles), tuple(map(tuple, body)), tuple(meanings)))
    return found
