"""The page of a generator beyond its tables: factor galleries, methods in pairs, quality over cost, all metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gdbench.boards.board import Board, Row, Shown
from gdbench.boards.cells import SIGNS, grid, name, short
from gdbench.boards.compare import Kept, Side, compare
from gdbench.boards.statistics import mean_of
from gdbench.errors import UsageError
from gdbench.report import charts
from gdbench.report.evidence import Evidence
from gdbench.report.images import Verbatim
from gdbench.report.views import Best, Known, coloured, head, metric_copies, page_of, shown_direction
from gdbench.tiers import CAPS


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
    cells = [(factor, _line(rows, factor, each)) for factor in factors]
    gates = {factor: gate for _, runs in rows for one in runs for factor, gate in one.gates.items()}
    return Gallery(tuple(name(row.method) for row, _ in rows), tuple(cells), gates)


def _line(rows: Sequence[tuple[Row, Sequence[Evidence]]], factor: str, most: int) -> tuple[Best | None, ...]:
    """A cell for each row; the method with the largest mean leads."""
    means = [_mean_share(runs, factor) for _, runs in rows]
    largest = max(
        (mean for (row, _), mean in zip(rows, means, strict=True) if mean and row.role == "method"), default=0.0
    )
    return tuple(
        None
        if mean is None
        else replace(_cell(runs, factor, mean, most), leads=row.role == "method" and mean == largest)
        for (row, runs), mean in zip(rows, means, strict=True)
    )


def _mean_share(runs: Sequence[Evidence], factor: str) -> float | None:
    shares = [one.best[factor][1] for one in runs if factor in one.best]
    return mean_of(shares) if shares else None


def _cell(runs: Sequence[Evidence], factor: str, mean: float, most: int) -> Best:
    there = [one for one in runs if factor in one.best]
    best = max(there, key=lambda one: (one.best[factor][1], -one.record.cell.seed))
    return shown_direction(best, best.directions[best.best[factor][0]], short(mean), most)


@dataclass(frozen=True)
class Against:
    """A method against another: a symbol, the difference, its interval in words. kind: win, tie, loss or ""."""

    symbol: str = ""
    difference: str = ""
    within: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Matrix:
    """Each method (row) against each (column) in one column: a cell for each pair, and wins, ties and losses."""

    column: str
    metric: str
    methods: tuple[str, ...]
    cells: tuple[tuple[Against, ...], ...]
    tally: tuple[str, ...]


def matrices(board: Board, known: Known) -> list[Matrix]:
    """A matrix for each column that claims to rank and has a number, the headline one first; none below two methods.

    Differences are paired over the seeds that both have, uncorrected.
    """
    headline = board.headline()
    rows = [row for row in board.rows if row.role == "method" and any(run in known for run in row.runs)]
    if headline is None or len(rows) < 2:
        return []
    sides = [_side(row, known) for row in rows]
    there = {(entry.metric, entry.column) for row in rows for entry in row.entries if entry.mean is not None}
    others = [shown for shown in board.columns if shown.column.ranked and shown.name in there and shown != headline]
    names = tuple(name(row.method) for row in rows)
    return [_matrix(shown, names, sides) for shown in (headline, *others)]


def _matrix(shown: Shown, names: tuple[str, ...], sides: Sequence[Side]) -> Matrix:
    cells = tuple(tuple(_against(a, b, shown) for b in sides) for a in sides)
    tally = tuple(
        "{} wins, {} ties, {} losses".format(
            *(sum(one.kind == kind for one in line) for kind in ("win", "tie", "loss"))
        )
        for line in cells
    )
    return Matrix(name(shown.column.name), name(shown.metric), names, cells, tally)


def _side(row: Row, known: Known) -> Side:
    records = [known[run].record for run in row.runs if run in known]
    return Side(row.method, {record.cell.seed: Kept(record, {}) for record in records})


def _against(a: Side, b: Side, shown: Shown) -> Against:
    if a is b:
        return Against()
    try:
        found = compare(a, b, {shown.metric: (shown.column,)}).columns
    except UsageError as error:
        return Against(SIGNS.void, within=str(error))
    if not found or found[0].difference is None:
        return Against(SIGNS.void, within=found[0].void if found else "not measured")
    one, difference = found[0], short(found[0].difference)
    if one.low is None or one.high is None:
        return Against(SIGNS.none, difference, "no interval")
    symbol, kind = {"a": (SIGNS.above, "win"), "b": (SIGNS.below, "loss"), "": (SIGNS.same, "tie")}[one.better]
    within = f"{short(one.low)} to {short(one.high)} over {one.n if one.over == 'seeds' else 'the'} {one.over}"
    return Against(symbol, difference, within, kind)


def budget_picture(board: Board, boards: Sequence[Board]) -> charts.Picture | None:
    """The headline column over the budget, a line for each method that has several; on the first board of them alone.

    boards: those of the generator.
    """
    headline = board.headline()
    alike = [one for one in boards if replace(one.key, tier=board.key.tier) == board.key and one.key.tier in CAPS]
    if headline is None or len(alike) < 2 or alike[0] is not board:
        return None
    curves: dict[str, list[tuple[charts.Point, float]]] = {}
    for one in sorted(alike, key=lambda one: CAPS[one.key.tier]):
        for row in one.rows:
            entry = next((e for e in row.entries if (e.metric, e.column) == headline.name and e.mean is not None), None)
            if entry is not None:
                label, colour = (
                    name(row.method),
                    list(curves).index(row.method) if row.method in curves else len(curves),
                )
                point = charts.Point(label, entry, entry, (), row.role, colour % charts.COLOURS)
                curves.setdefault(row.method, []).append((point, float(CAPS[one.key.tier])))
    labels = ("budget of images", name(headline.column.name))
    return charts.over_budget(
        f"{labels[1]} over the budget", labels, [curve for curve in curves.values() if len(curve) > 1]
    )


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
    """All columns of a metric as a table. body: a row for each method, texts with the page that each leads to, or "".

    meanings: name -> what it says. copies: kind -> text.
    """

    name: str
    head: tuple[str, ...]
    body: tuple[tuple[tuple[str, str], ...], ...]
    meanings: tuple[tuple[str, str], ...]
    copies: Mapping[str, Verbatim]


def all_metrics(board: Board, known: Known) -> list[Metric]:
    """The full tables of a board, by metric, that of the headline first."""
    found, headline = [], board.headline()
    first = headline.metric if headline else ""
    for metric, columns in sorted(board.metrics().items(), key=lambda own: own[0] != first):
        titles, body = grid(columns, board.rows)
        meanings = [(head(shown).name, head(shown).meaning) for shown in columns]
        cells = tuple(
            tuple(zip(line, _leading(row, columns, known), strict=True))
            for line, row in zip(body, board.rows, strict=True)
        )
        found.append(Metric(metric, tuple(titles), cells, tuple(meanings), metric_copies(board, columns)))
    return found


def _leading(row: Row, columns: Sequence[Shown], known: Known) -> list[str]:
    """Where the cells of a row lead: its name nowhere, each number to the score of a run."""
    runs = [known[run] for run in row.runs if run in known]
    return ["", *(page_of(row.entry(*shown.name), runs) for shown in columns)]
