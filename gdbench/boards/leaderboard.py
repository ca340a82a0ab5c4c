"""The leaderboard: a pure function of records. What is left out is counted, what is incomplete is not ranked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gdbench.boards.across import across
from gdbench.boards.board import UNMEASURED, Board, Entry, Key, Leaderboard, Row, Shown
from gdbench.boards.rules import ROLES, Rules, Versions, rules_of
from gdbench.boards.selection import beyond_cap, reasons, select
from gdbench.boards.statistics import Against, Sample, Spread, against, interval, mean_of, pooled, ranks
from gdbench.record import RunRecord, Score
from gdbench.specs import Column
from gdbench.tiers import CAPS

if TYPE_CHECKING:
    from gdbench.registry import Registry
    from gdbench.runs.suite import Suite


def leaderboard(
    records: Iterable[RunRecord], columns: Mapping[str, Sequence[Column]], rules: Rules | None = None
) -> Leaderboard:
    """The leaderboard of ``records``, whatever their order.

    columns: metric -> what it declares, in the order of the tables; metrics without a declaration are left out.
    """
    rules = rules or Rules()
    chosen = select(records, rules)
    boards = [_board(key, members, columns, chosen.versions, rules) for key, members in chosen.groups]
    if (place := rules.place) is not None:
        boards.sort(key=lambda board: place(board.key.generator, board.key.checkpoint, board.key.space))
    titles = Counter(board.title for board in boards)
    named = [
        replace(board, title=f"{board.title}, weights {board.key.weights}") if titles[board.title] > 1 else board
        for board in boards
    ]
    return Leaderboard(tuple(named), chosen.notes, across(named, rules), chosen.refused)


def leaderboard_of(
    records: Iterable[RunRecord],
    columns: Mapping[str, Sequence[Column]],
    registry: Registry,
    suite: Suite | None,
    changed: bool = False,
) -> Leaderboard:
    """The leaderboard of a suite's records, by the installed versions and the verdicts of suite or columns."""
    return leaderboard(records, columns, rules_of(registry, columns, suite, changed))


@dataclass(frozen=True)
class _Line:
    """The runs of one row, by seed. expected: N of "n of N". beyond: images over the cap of the tier, else 0."""

    name: str
    runs: Mapping[int, RunRecord]
    expected: int
    beyond: int

    @property
    def first(self) -> RunRecord:
        return next(iter(self.runs.values()))

    @property
    def role(self) -> str:
        return self.first.role

    @property
    def method(self) -> str:
        return self.first.cell.method


def _board(
    key: Key,
    records: Sequence[RunRecord],
    columns: Mapping[str, Sequence[Column]],
    versions: Versions,
    rules: Rules,
) -> Board:
    """The board of one key; ``records`` are in the order of their selection."""
    comparable, apart = _comparable(records)
    lines = _lines(key, comparable, rules)
    baseline = min((line.name for line in lines if line.method in rules.baselines), default="")
    common = _common_params(comparable)
    shown = [
        _shown(metric, column, rules)
        for metric, declared in columns.items()
        if any(metric in record.scores for record in comparable)
        for column in declared
    ]
    entries: dict[str, list[Entry]] = {line.name: [] for line in lines}
    for one in shown:
        scores = {
            line.name: {seed: _score(run, one, versions, common) for seed, run in sorted(line.runs.items())}
            for line in lines
        }
        for name, entry in _entries(key, one, lines, scores, baseline, rules).items():
            entries[name].append(entry)
    rows = [_row(line, entries[line.name]) for line in lines]
    unranked = rules.unranked(key.tier, key.domain)
    board = Board(key, key.title, tuple(shown), tuple(rows), baseline, unranked=unranked)
    return replace(
        board,
        rows=tuple(sorted(rows, key=lambda row: _place(row, board.headline()))),
        notes=(*_notes(board, comparable, apart, lines), *_not_run(key, records, rules)),
    )


def _comparable(records: Sequence[RunRecord]) -> tuple[list[RunRecord], int]:
    """The records calibrated with the usual distance (and those that never came so far), and how many are not."""
    done = [record.distance for record in records if record.status == "done"]
    usual = _most_frequent(done)
    kept = [record for record in records if record.status != "done" or record.distance == usual]
    return kept, len(records) - len(kept)


def _most_frequent(values: Sequence[str]) -> str:
    return max(sorted(set(values)), key=values.count, default="")


def _common_params(records: Iterable[RunRecord]) -> dict[str, str]:
    """Metric -> the parameters that most finished records measured it with, as JSON."""
    used: dict[str, list[str]] = {}
    for record in records:
        if record.status == "done":
            for metric in record.scores:
                used.setdefault(metric, []).append(_params(record, metric))
    return {metric: _most_frequent(values) for metric, values in used.items()}


def _params(record: RunRecord, metric: str) -> str:
    return json.dumps(record.metric_params.get(metric, {}), sort_keys=True)


def _lines(key: Key, records: Sequence[RunRecord], rules: Rules) -> list[_Line]:
    """A line for each method with its parameters, named by what tells lines apart.

    N is what the suite asks for, or where none does the seeds of the best method; at least the seeds that were tried.
    """
    named = _named(records)
    best = max((sum(run.status == "done" for run in runs.values()) for runs in named.values()), default=0)
    lines = []
    for name, runs in named.items():
        cell = replace(next(iter(runs.values())).cell, tier=key.tier)
        asked = len(rules.seeds(cell)) if rules.seeds else 0
        images = max(beyond_cap(run, CAPS.get(key.tier)) for run in runs.values())
        lines.append(_Line(name, runs, max(asked or best, len(runs)), images))
    return lines


def _named(records: Sequence[RunRecord]) -> dict[str, dict[int, RunRecord]]:
    named: dict[str, dict[int, RunRecord]] = {}
    differing = _differing(records)
    for record in records:
        cell = record.cell
        params = sorted(cell.method_params.items())
        different = [f"{key}={value}" for key, value in params if key in differing[cell.method]]
        name = cell.method + (f" ({', '.join(different)})" if different else "")
        named.setdefault(name, {}).setdefault(cell.seed, record)
    return named


def _differing(records: Iterable[RunRecord]) -> dict[str, set[str]]:
    """Method -> the parameters in which its records differ."""
    first: dict[str, Mapping[str, Any]] = {}
    found: dict[str, set[str]] = {}
    for record in records:
        params = record.cell.method_params
        known = first.setdefault(record.cell.method, params)
        own = found.setdefault(record.cell.method, set())
        own |= {key for key in {*known, *params} if known.get(key) != params.get(key)}
    return found


def _shown(metric: str, column: Column, rules: Rules) -> Shown:
    refused = rules.verdicts.refused.get((metric, column.name), "")
    least = rules.verdicts.least.get((metric, column.name), 0.0)
    return Shown(metric, column, least, refused)


def _score(record: RunRecord, shown: Shown, versions: Versions, common: Mapping[str, str]) -> Score:
    """The score of a record, void where it must not be compared."""
    if record.status != "done":
        return Score(None, f"{record.status}: {record.reason}")
    metric = shown.metric
    score = record.scores.get(metric, {}).get(shown.column.name)
    if score is None:
        return Score(None, UNMEASURED)
    if record.versions.get(f"metric:{metric}", 0) != versions["metric", metric]:
        return Score(None, "measured with another version of the metric")
    if _params(record, metric) != common[metric]:
        return Score(None, "measured with other parameters")
    return score


def _entries(
    key: Key,
    shown: Shown,
    lines: Sequence[_Line],
    scores: Mapping[str, Mapping[int, Score]],
    baseline: str,
    rules: Rules,
) -> dict[str, Entry]:
    """What each row has in one column."""
    numbers = {name: [one.value for one in seeds.values() if one.value is not None] for name, seeds in scores.items()}
    spreads = _spreads(lines, numbers, baseline, rules)
    samples = {name: Sample(mean_of(own), len(own), spreads[name]) for name, own in numbers.items() if own}
    methods = [line for line in lines if line.role == "method" and line.name in samples and not line.beyond]
    judged = {line.name: samples[line.name] for line in methods}
    complete = {line.name for line in methods if len(numbers[line.name]) == line.expected}
    silent = shown.column.better == "neither" or not shown.ranked or rules.unranked(key.tier, key.domain)
    ranked, marks = ({}, {}) if silent else _judge(shown, judged, complete, samples.get(baseline), lines)
    return {
        line.name: _entry(shown, line, scores[line.name], samples.get(line.name), ranked.get(line.name), marks)
        for line in lines
    }


def _spreads(
    lines: Sequence[_Line], numbers: Mapping[str, Sequence[float]], baseline: str, rules: Rules
) -> dict[str, Spread | None]:
    """The variance between seeds that counts for each row.

    Methods that draw, and the baseline, have theirs pooled; so have deterministic methods, whose seeds repeat only the
    evaluation. Where these were evaluated once, the pooled one of the others stands in, which holds the variance of
    evaluations too. Other controls and references have their own: dead directions never differ, and tell nothing.
    """
    pool: dict[str, list[Sequence[float]]] = {"draws": [], "repeats": []}
    kinds = {}
    for line in lines:
        if line.role == "method" or line.name == baseline:
            kinds[line.name] = "repeats" if line.method in rules.deterministic else "draws"
            pool[kinds[line.name]].append(numbers[line.name])
    draws = pooled(pool["draws"])
    shared = {"draws": draws, "repeats": pooled(pool["repeats"]) or draws}
    return {
        line.name: shared[kinds[line.name]] if line.name in kinds else pooled([numbers[line.name]]) for line in lines
    }


def _judge(
    shown: Shown,
    judged: Mapping[str, Sample],
    complete: set[str],
    baseline: Sample | None,
    lines: Sequence[_Line],
) -> tuple[dict[str, int], dict[str, Against]]:
    """Ranks, and how complete methods stand to the baseline, in a column that may say so."""
    better = shown.column.better
    assert better != "neither"
    ranked = ranks(judged, better, complete, shown.least)
    if baseline is None:
        return ranked, {}
    tried = {name: sample for name, sample in judged.items() if name in complete}
    return ranked, against(tried, baseline, better, shown.least, sum(line.role == "method" for line in lines))


def _entry(
    shown: Shown,
    line: _Line,
    scores: Mapping[int, Score],
    sample: Sample | None,
    rank: int | None,
    marks: Mapping[str, Against],
) -> Entry:
    why = Counter(score.void for score in scores.values() if score.void)
    note = "; ".join(f"{reason} ({count} seeds)" if count > 1 else str(reason) for reason, count in why.items())
    mean, low, high = interval(sample, shown.column.range) if sample else (None, None, None)
    stands = marks.get(line.name)
    return Entry(
        metric=shown.metric,
        column=shown.column.name,
        mean=mean,
        low=low,
        high=high,
        n=sample.n if sample else 0,
        expected=line.expected,
        rank=rank,
        mark=stands.mark if stands else "",
        p=stands.p if stands else None,
        note=note,
    )


def _row(line: _Line, entries: Sequence[Entry]) -> Row:
    runs = tuple(record.id for _, record in sorted(line.runs.items()))
    return Row(line.role, line.name, tuple(entries), tuple(reasons(line.runs.values())), runs)


def _place(row: Row, headline: Shown | None) -> tuple[int, bool, bool, float, str]:
    """The order of rows: role; complete, incomplete, void; the better mean in the headline column; name."""
    role = ROLES.index(row.role) if row.role in ROLES else len(ROLES)
    if headline is None:
        return role, False, False, 0.0, row.method
    entry = row.entry(*headline.name)
    size = 0.0 if entry.mean is None else entry.mean if headline.column.better == "lower" else -entry.mean
    return role, entry.state == "void", entry.state == "incomplete", size, row.method


def _notes(board: Board, records: Sequence[RunRecord], apart: int, lines: Sequence[_Line]) -> Iterator[str]:
    tier = board.key.tier
    if board.unranked:
        yield board.unranked
    if any(record.checkpoint_status == "preview" for record in records):
        yield f"preview: checkpoint {board.key.checkpoint} misses gates that its card names"
    if lacks := {record.checkpoint_lacks for record in records} - {""}:
        yield f"checkpoint {board.key.checkpoint} lacks {'; '.join(sorted(lacks))}"
    if apart:
        yield f"{apart} records calibrated with another distance are not shown"
    for line in lines:
        if line.beyond:
            allowed = f"tier {tier} allows {CAPS[tier]:,}"
            yield f"{line.name} rendered {line.beyond:,} images in discovery, {allowed}: shown and not ranked"
    for shown in board.columns:
        if shown.refused and shown.column.ranked:
            yield f"{shown.metric}.{shown.column.name} is shown and not ranked: {shown.refused}"
    if not board.unranked and any(entry.state == "incomplete" for row in board.rows for entry in row.entries):
        yield "incomplete methods are shown and not ranked"
    ranking = [shown for shown in board.columns if shown.ranked and any(row.role == "method" for row in board.rows)]
    if not board.unranked and ranking and not any(_judgeable(board, shown) for shown in ranking):
        yield "no method that draws has two seeds: nothing is known of the variance between seeds, so nothing is ranked"


def _not_run(key: Key, records: Sequence[RunRecord], rules: Rules) -> Iterator[str]:
    """A line for the methods that the suite asks for on a board and that have no run there."""
    if rules.asked is not None:
        there = {record.cell.method for record in records}
        asked = rules.asked(replace(records[0].cell, tier=key.tier))
        missing = [f"{method} (0 of {seeds})" for method, seeds in asked.items() if method not in there]
        if missing:
            yield f"not run yet: {', '.join(missing)}"


def _judgeable(board: Board, shown: Shown) -> bool:
    return any(row.entry(*shown.name).low is not None for row in board.rows if row.role == "method")
