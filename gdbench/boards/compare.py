"""Two runs or two methods side by side: paired where they saw the same codes, column by column and factor by factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gdbench.boards.board import UNMEASURED, Key
from gdbench.boards.rules import PROTOCOL
from gdbench.boards.selection import key_of
from gdbench.boards.statistics import Difference, gap, mean_of, paired
from gdbench.errors import UsageError
from gdbench.record import RunRecord, Score
from gdbench.specs import Column

Over = Literal["seeds", "codes", ""]


@dataclass(frozen=True)
class Kept:
    """A run as it is compared. best: (metric, factor) -> the number of the direction that does best for the factor."""

    record: RunRecord
    best: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Side:
    """One side of a comparison. runs: by seed; one run, or those of a method on one board."""

    name: str
    runs: Mapping[int, Kept]


@dataclass(frozen=True)
class Compared:
    """One number of both sides and their difference a - b with its 95 % interval.

    a, b: means over the seeds that both have. n: how many these are. over: what the interval is drawn over: seeds; for
    one seed the blocks of its codes; "" where neither can be. better: the side that the interval speaks for, or "".
    void: why there is no number.
    """

    metric: str
    name: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    n: int
    over: Over
    better: Literal["a", "b", ""]
    void: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two sides on one board. columns: of metrics that both were measured by. factors: shares of best directions."""

    title: str
    a: str
    b: str
    columns: tuple[Compared, ...]
    factors: tuple[Compared, ...]
    notes: tuple[str, ...]


def compare(a: Side, b: Side, columns: Mapping[str, Sequence[Column]]) -> Comparison:
    """``a`` beside ``b``. columns: metric -> what it declares; others are left out.

    Raises UsageError where the two cannot be compared: another generator, other weights or parameters, another space,
    or another version of the protocol.
    """
    first, second = (next(iter(side.runs.values())).record for side in (a, b))
    key, other = key_of(first), key_of(second)
    for name in ("generator", "checkpoint", "weights", "params", "space", "domain"):
        _same(name, getattr(key, name), getattr(other, name))
    for kind, _ in PROTOCOL:
        _same(f"version of {kind}", first.versions.get(kind), second.versions.get(kind))
    seeds = sorted(a.runs.keys() & b.runs.keys())
    pairs = [(a.runs[seed], b.runs[seed]) for seed in seeds]
    measured = {metric for side in (a, b) for run in side.runs.values() for metric in run.record.scores}
    found = [_column(pairs, metric, column) for metric, own in columns.items() if metric in measured for column in own]
    return Comparison(key.title, a.name, b.name, tuple(found), tuple(_factors(pairs)), tuple(_notes(a, b, key, other)))


def _same(what: str, a: object, b: object) -> None:
    if a != b:
        raise UsageError(f"these cannot be compared: {what} is {a!r} of one and {b!r} of the other")


def _column(pairs: Sequence[tuple[Kept, Kept]], metric: str, column: Column) -> Compared:
    both = [tuple(_score(run.record, metric, column.name) for run in pair) for pair in pairs]
    numbers = [(x, y) for x, y in both if x.value is not None and y.value is not None]
    if not numbers:
        why = next((score.void for pair in both for score in pair if score.void), "no seed in common")
        return _nothing(metric, column.name, why or "")
    if any(_measured(x.record, metric) != _measured(y.record, metric) for x, y in pairs):
        return _nothing(metric, column.name, "measured in another version or with other parameters")
    xs, ys = ([score.value for score in side if score.value is not None] for side in zip(*numbers, strict=True))
    over: Over = "seeds"
    apart = paired(xs, ys)
    if apart is None:
        over, apart = "codes", _over_codes(*numbers[0])
    return _compared(metric, column.name, xs, ys, apart, over, column.better)


def _score(record: RunRecord, metric: str, column: str) -> Score:
    if record.status != "done":
        return Score(None, f"{record.status}: {record.reason}")
    return record.scores.get(metric, {}).get(column) or Score(None, UNMEASURED)


def _measured(record: RunRecord, metric: str) -> tuple[object, object]:
    return record.versions.get(f"metric:{metric}"), dict(record.metric_params.get(metric, {}))


def _over_codes(a: Score, b: Score) -> Difference | None:
    """The difference of two scores with the interval over the blocks of the codes that both saw; None without them."""
    if len(a.blocks) != len(b.blocks) or (apart := paired(a.blocks, b.blocks)) is None:
        return None
    assert a.value is not None
    assert b.value is not None
    mean = gap(a.value, b.value)
    return Difference(mean, mean + apart.low - apart.mean, mean + apart.high - apart.mean, apart.p)


def _factors(pairs: Sequence[tuple[Kept, Kept]]) -> Iterator[Compared]:
    """Factors that both sides have in every seed; more is better in all of them."""
    names = dict.fromkeys(name for pair in pairs for name in pair[0].best)
    for metric, factor in names:
        values = [tuple(run.best.get((metric, factor)) for run in pair) for pair in pairs]
        numbers = [(x, y) for x, y in values if x is not None and y is not None]
        if numbers:
            xs, ys = map(list, zip(*numbers, strict=True))
            yield _compared(metric, factor, xs, ys, paired(xs, ys), "seeds", "higher")


def _compared(
    metric: str,
    name: str,
    xs: Sequence[float],
    ys: Sequence[float],
    apart: Difference | None,
    over: Over,
    better: Literal["higher", "lower", "neither"],
) -> Compared:
    a, b = mean_of(xs), mean_of(ys)
    if apart is None:
        return Compared(metric, name, a, b, gap(a, b), None, None, len(xs), "", "")
    clear = better != "neither" and not apart.low <= 0 <= apart.high
    side: Literal["a", "b"] = "a" if (apart.mean > 0) == (better == "higher") else "b"
    return Compared(metric, name, a, b, apart.mean, apart.low, apart.high, len(xs), over, side if clear else "")


def _nothing(metric: str, name: str, why: str) -> Compared:
    return Compared(metric, name, None, None, None, None, None, 0, "", "", why)


def _notes(a: Side, b: Side, key: Key, other: Key) -> Iterator[str]:
    seeds = sorted(a.runs.keys() & b.runs.keys())
    for name, x, y in (("K", key.k, other.k), ("tier", key.tier, other.tier)):
        if x != y:
            yield f"{name} is {x} of {a.name} and {y} of {b.name}"
    if not seeds:
        yield "no seed in common, so they did not see the same codes and nothing is paired"
    elif len(seeds) == 1:
        yield "one seed: intervals are over the codes of its evaluation, and say nothing of another discovery"
    else:
        yield f"intervals are over the {len(seeds)} seeds that both have; each stands for itself, none is corrected"
    for side in (a, b):
        if any(run.record.environment.get("changed") is True for run in side.runs.values()):
            yield f"{side.name} was made by changed code: nobody can make it again"
