"""The geometry of charts, as values in pixels; templates draw them as SVG, so that all text is escaped in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gdbench.boards.board import Critical, Entry
from gdbench.boards.cells import name, short

COLOURS = 10
WIDE, HIGH = 640.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 136.0, 12.0, 44.0
LINE, LETTER, DOT = 13.0, 6.2, 5.0
"""Height of a label, width of a letter in it and radius of a point, in pixels."""
NEAR = ((9.0, 4.0), (-9.0, 4.0), (9.0, -7.0), (9.0, 15.0), (-9.0, -7.0), (-9.0, 15.0))
FAR = tuple(
    (right * side, below)
    for right in (20.0, 36.0, 52.0)
    for below in (-20.0, 28.0, -36.0, 44.0, -52.0, 60.0)
    for side in (1, -1)
)
PLACES = (*((*one, False) for one in NEAR), *((*one, True) for one in FAR))
"""Where a label may stand beside its point, the first that is free; a line leads to those that are far."""
ROW = 24.0
"""Pixels between two methods of a diagram of ranks."""
DOT_WIDE, DOT_PAD = 92.0, 5.0


@dataclass(frozen=True)
class Axis:
    """Values low to high on pixels start to stop; with ``log`` in decades, and ``bare`` without ticks."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False
    bare: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; what lies beyond the axis lies at its end."""
        low, high, value = (math.log10(max(one, 1.0)) if self.log else one for one in (self.low, self.high, value))
        part = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, part)) * (self.stop - self.start)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Pixel and text of about five round values."""
        if self.bare:
            return []
        if self.log:
            first, last = (math.log10(max(one, 1.0)) for one in (self.low, self.high))
            values = [10.0**power for power in range(math.ceil(first), math.floor(last) + 1)]
        else:
            step = _step(self.high - self.low)
            values = [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]
        least = "≤ 1" if self.log else "0"
        return [(self.at(value), least if value == self.log else short(value)) for value in values]


def _step(extent: float) -> float:
    """A round step of which about five make ``extent``."""
    if extent <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(extent / 5))
    return next(size * times for times in (1, 2, 5, 10) if size * times >= extent / 5 - 1e-12)


def around(values: Iterable[float], start: float, stop: float, log: bool = False) -> Axis:
    """The axis that holds all values with some room; one that is near 0 begins there."""
    found = list(values) or [0.0, 1.0]
    low, high = min(found), max(found)
    if log:
        low, high = max(low, 1.0), max(high, 10.0)
        return Axis(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)), start, stop, log=True)
    room = 0.06 * (high - low) or 0.2 * abs(high) or 0.5
    start_low = 0.0 if 0 <= low < high / 2 else max(low - room, 0.0) if low >= 0 else low - room
    return Axis(start_low, high + room, start, stop)


@dataclass(frozen=True)
class Dot:
    """A mean with its interval in a cell of a table, and the baseline's interval behind it; pixels, None where unknown.

    text: the number.
    """

    x: float
    span: tuple[float, float] | None
    band: tuple[float, float] | None


def dot(entry: Entry, axis: Axis, baseline: Entry | None) -> Dot | None:
    """The dot of an entry; None where it has no number."""
    if entry.mean is None:
        return None
    return Dot(axis.at(entry.mean), _span(entry, axis), _span(baseline, axis) if baseline else None)


def dot_axis(entries: Iterable[Entry]) -> Axis:
    """The axis that cells of columns of one kind have in common."""
    values = [value for one in entries for value in (one.mean, one.low, one.high) if value is not None]
    return around(values, DOT_PAD, DOT_WIDE - DOT_PAD)


def _span(entry: Entry, axis: Axis) -> tuple[float, float] | None:
    if entry.low is None or entry.high is None:
        return None
    low, high = axis.at(entry.low), axis.at(entry.high)
    return low, max(high - low, 1.0)


@dataclass(frozen=True)
class Point:
    """A row in two columns: its mean, its seeds where they are known, its role. colour: 0 to COLOURS - 1."""

    label: str
    x: Entry
    y: Entry
    seeds: tuple[tuple[float, float], ...]
    role: str
    colour: int


@dataclass(frozen=True)
class Mark:
    """A point as it is drawn: pixels; label_y: where its label stands. cross: pixels of both intervals.

    before: the label ends at label_x, else it begins there. led: a line leads from the point to it.
    """

    label: str
    title: str
    x: float
    y: float
    label_x: float
    label_y: float
    seeds: tuple[tuple[float, float], ...]
    cross: tuple[float, float, float, float] | None
    role: str
    colour: int
    before: bool = False
    led: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture of points. bands: pixels (x, y, width, height) of the baseline's intervals. path: a line, or "".

    curves: colour and points of a line each.
    """

    title: str
    x_label: str
    y_label: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    bands: tuple[tuple[float, float, float, float], ...] = ()
    path: str = ""
    curves: tuple[tuple[int, str], ...] = ()
    wide: float = WIDE
    high: float = HIGH


def scatter(title: str, labels: tuple[str, str], points: Sequence[Point], baseline: str) -> Picture | None:
    """A mean and its seeds for each point; references are lines, and the baseline a band. None without any number."""
    there = [one for one in points if one.x.mean is not None and one.y.mean is not None]
    if not there:
        return None
    x = around([*_values(one.x for one in there), *(x for one in there for x, _ in one.seeds)], LEFT, WIDE - RIGHT)
    y = around([*_values(one.y for one in there), *(y for one in there for _, y in one.seeds)], HIGH - BOTTOM, TOP)
    marks = [_mark(one, x, y, labels) for one in there]
    bands = [band for one in there if one.label == baseline for band in _bands(one, x, y)]
    return Picture(title, *labels, x, y, tuple(_apart(marks)), tuple(bands))


def against_cost(title: str, labels: tuple[str, str], points: Sequence[tuple[Point, float]]) -> Picture | None:
    """Quality over cost on a logarithmic axis, and the line of the methods that no cheaper one equals."""
    there = [(one, cost) for one, cost in points if one.y.mean is not None]
    if not there:
        return None
    x = around([cost for _, cost in there], LEFT, WIDE - RIGHT, log=True)
    y = around(_values(one.y for one, _ in there), HIGH - BOTTOM, TOP)
    marks = [_costly(one, cost, x, y, labels) for one, cost in there]
    return Picture(title, *labels, x, y, tuple(_apart(marks)), path=_front(marks))


def over_budget(title: str, labels: tuple[str, str], curves: Sequence[Sequence[tuple[Point, float]]]) -> Picture | None:
    """A line for each curve, named at its end; points of a curve in order of budget. None without any curve."""
    points = [pair for curve in curves for pair in curve]
    if not points:
        return None
    x = around([cost for _, cost in points], LEFT, WIDE - RIGHT, log=True)
    y = around(_values(one.y for one, _ in points), HIGH - BOTTOM, TOP)
    drawn = [[_costly(one, cost, x, y, labels) for one, cost in curve] for curve in curves]
    unnamed = [replace(mark, label="") for marks in drawn for mark in marks[:-1]]
    lines = [(marks[0].colour, " ".join(f"{one.x:.1f},{one.y:.1f}" for one in marks)) for marks in drawn]
    named = _apart([marks[-1] for marks in drawn])
    return Picture(title, *labels, x, y, (*unnamed, *named), curves=tuple(lines))


def of_ranks(title: str, critical: Critical) -> Picture:
    """A critical-difference diagram: a row for each method at its mean rank, the best above.

    Left of the axis a line for each set that cannot be told apart; the uppermost row is as long as what tells apart.
    """
    count = len(critical.ranks)
    high = TOP + BOTTOM + ROW * (count + 1)
    x = Axis(1.0, float(count), LEFT, WIDE - RIGHT)
    y = Axis(0.0, count + 1.0, high - BOTTOM, TOP, bare=True)
    rows = {method: count - 0.5 - place for place, (method, _) in enumerate(critical.ranks)}
    marks = [
        _of_rank(method, place % COLOURS, rank, x.at(rank), y.at(rows[method]))
        for place, (method, rank) in enumerate(critical.ranks)
    ]
    between = min(8.0, (LEFT - 12.0) / max(len(critical.together), 1))
    bars = [
        _line(LEFT - 8.0 - between * place, y.at(rows[names[0]] + 0.25), y.at(rows[names[-1]] - 0.25))
        for place, names in enumerate(critical.together)
    ]
    far, above = x.at(1.0 + critical.difference), y.at(count + 0.5)
    said = f"critical difference {short(critical.difference)}"
    ruler = Mark(said, said, far, above, far + 10, above + 4, (), None, "control", 0)
    bars.append((0, f"{x.start:.1f},{above:.1f} {far:.1f},{above:.1f}"))
    return Picture(title, "mean rank", "", x, y, (ruler, *marks), curves=tuple(bars), high=high)


def _line(x: float, upper: float, lower: float) -> tuple[int, str]:
    return 0, f"{x:.1f},{upper:.1f} {x:.1f},{lower:.1f}"


def _of_rank(method: str, colour: int, rank: float, x: float, y: float) -> Mark:
    said = f"{name(method)}: mean rank {short(rank)}"
    return Mark(name(method), said, x, y, x + 10, y + 4, (), None, "method", colour)


def _costly(one: Point, cost: float, x: Axis, y: Axis, labels: tuple[str, str]) -> Mark:
    """The mark of a number at a cost."""
    at, mean = x.at(cost), one.y.mean or 0.0
    said = f"{one.label}: {labels[1]} {short(mean)}, {labels[0]} {short(cost)}"
    cross = (at, at, y.at(one.y.low or 0.0), y.at(one.y.high or 0.0)) if _span(one.y, y) else None
    return Mark(one.label, said, at, y.at(mean), 0.0, 0.0, (), cross, one.role, one.colour)


def _values(entries: Iterable[Entry]) -> list[float]:
    return [value for one in entries for value in (one.mean, one.low, one.high) if value is not None]


def _mark(one: Point, x: Axis, y: Axis, labels: tuple[str, str]) -> Mark:
    mean_x, mean_y = one.x.mean or 0.0, one.y.mean or 0.0
    cross = None
    if one.x.low is not None and one.x.high is not None and one.y.low is not None and one.y.high is not None:
        cross = (x.at(one.x.low), x.at(one.x.high), y.at(one.y.low), y.at(one.y.high))
    title = f"{one.label}: {labels[0]} {short(mean_x)}, {labels[1]} {short(mean_y)}"
    seeds = tuple((x.at(a), y.at(b)) for a, b in one.seeds)
    return Mark(one.label, title, x.at(mean_x), y.at(mean_y), 0.0, 0.0, seeds, cross, one.role, one.colour)


def _bands(one: Point, x: Axis, y: Axis) -> Iterable[tuple[float, float, float, float]]:
    if one.x.low is not None and one.x.high is not None:
        left, right = x.at(one.x.low), x.at(one.x.high)
        yield left, TOP, right - left, HIGH - BOTTOM - TOP
    if one.y.low is not None and one.y.high is not None:
        upper, lower = y.at(one.y.high), y.at(one.y.low)
        yield LEFT, upper, WIDE - RIGHT - LEFT, lower - upper


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """The marks, the highest first, each with its label where it covers least: no point, no other label."""
    placed: list[Mark] = []
    boxes: list[Box] = []
    for mark in sorted(marks, key=lambda one: (one.y, one.x, one.label)):
        points = [Box(one.x - DOT, one.y - DOT, one.x + DOT, one.y + DOT) for one in marks if one is not mark]
        places = [_named(mark, *offset) for offset in PLACES]
        best = min(range(len(places)), key=lambda n: (_covered(_box(places[n]), points, boxes), n))
        placed.append(places[best])
        boxes.append(_box(places[best]))
    return placed


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def common(self, other: Box) -> float:
        """The area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)


def _named(mark: Mark, right: float, below: float, far: bool) -> Mark:
    """The mark with its label at an offset; left of the point it ends there. far: a line leads to it."""
    return replace(mark, label_x=mark.x + right, label_y=mark.y + below, before=right < 0, led=far)


def _box(mark: Mark) -> Box:
    """What the label of a mark covers, about."""
    wide = LETTER * len(mark.label)
    left = mark.label_x - wide if mark.before else mark.label_x
    return Box(left, mark.label_y - LINE + 3, left + wide, mark.label_y + 3)


def _covered(box: Box, points: Sequence[Box], labels: Sequence[Box]) -> float:
    """How much a label would cover, in pixels, with what lies beyond the picture."""
    whole = (box.right - box.left) * (box.bottom - box.top)
    beyond = whole - box.common(Box(LEFT, TOP, WIDE, HIGH - BOTTOM))
    return round(sum(map(box.common, points)) + sum(map(box.common, labels)) + beyond, 1)


def _front(marks: Sequence[Mark]) -> str:
    """The line from method to better method of more cost, as points of a polyline; pixels grow downwards."""
    best, line = math.inf, []
    for mark in sorted((one for one in marks if one.role == "method"), key=lambda one: (one.x, one.y)):
        if mark.y < best:
            line += [f"{mark.x:.1f},{best:.1f}"] if math.isfinite(best) else []
            line.append(f"{mark.x:.1f},{mark.y:.1f}")
            best = mark.y
    return " ".join(line)
