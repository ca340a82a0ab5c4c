"""The leaderboard: a pure function of records. What is left out is counted, what is incomplete is not ranked."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gdbench.boards.acceptance import refused as refused_columns
from gdbench.boards.across import Across, across
from gdbench.boards.board import Board, Entry, Row
from gdbench.boards.cells import across_grid, grid, inert, markdown, markdown_table
from gdbench.boards.statistics import Array, alike, interval, ranks
from gdbench.files import write_text
from gdbench.record import DISCOVERY, EVALUATION, Cell, RunRecord, Score
from gdbench.specs import Column
from gdbench.tiers import CAPS

if TYPE_CHECKING:
    import pandas as pd

    from gdbench.registry import Registry
    from gdbench.runs.suite import Suite

UNRANKED = ("quick", "smoke")
ROLES = ("method", "control", "reference")
NOT_CONVERGED = "learned methods not converged: tier quick is a demonstration and is not ranked"
LEGEND = (
    "Mean over seeds (95 % interval over seeds, and over parts of the evaluation sample where records hold them) "
    "complete/expected seeds. ↑ higher is better, ↓ lower is better."
)
Versions = Mapping[tuple[str, str], int]
"""(kind, name) -> version, with kind "discovery", "evaluation", "generator", "method", "domain" or "metric"."""
PROTOCOL: Versions = {("discovery", "discovery"): DISCOVERY, ("evaluation", "evaluation"): EVALUATION}


@dataclass(frozen=True)
class Leaderboard:
    """The boards of all generators, ranks across generators, and notes on what is not on them."""

    boards: tuple[Board, ...]
    notes: tuple[str, ...] = ()
    across: tuple[Across, ...] = ()

    def to_rows(self) -> list[dict[str, Any]]:
        """One mapping for each number: the table behind frame, CSV and plots. A mean rank has the generator "all"."""
        numbers = [
            {
                "generator": board.generator,
                "checkpoint": board.checkpoint,
                "domain": board.domain,
                "tier": board.tier,
                "k": board.k,
                "role": row.role,
                "method": row.method,
                **dataclasses.asdict(entry),
            }
            for board in self.boards
            for row in board.rows
            for entry in row.entries
        ]
        return numbers + [row for table in self.across for row in table.to_rows()]

    def to_frame(self) -> pd.DataFrame:
        """``to_rows`` as a DataFrame; what is missing is NaN."""
        import pandas as pd

        frame = pd.DataFrame(self.to_rows())
        return frame.astype({"mean": float, "low": float, "high": float, "rank": float}) if len(frame) else frame

    def to_json(self) -> str:
        """The whole value as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """``to_rows`` as CSV; text that a spreadsheet would take for a formula is preceded by an apostrophe."""
        rows = self.to_rows()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else ["generator"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
        return text.getvalue()

    def to_markdown(self) -> str:
        """One table for each metric of each board, with all notes."""
        parts = ["# Leaderboard", LEGEND, *map(markdown, self.notes)]
        for board in self.boards:
            parts += [f"## {markdown(board.title)}", *(markdown(note) for note in board.notes)]
            for metric, columns in board.metrics().items():
                parts += [f"### {markdown(metric)}", markdown_table(*grid(board, metric, columns))]
            parts += [f"- {markdown(f'{row.method}: {line}')}" for row in board.rows for line in row.failures]
        for table in self.across:
            parts += [f"## {markdown(table.title)}", markdown_table(*across_grid(table))]
            parts += [f"- {markdown(note)}" for note in table.notes]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``leaderboard.md``, ``.csv`` and ``.json`` into ``folder``, each atomically."""
        write_text(folder / "leaderboard.md", self.to_markdown())
        write_text(folder / "leaderboard.csv", self.to_csv())
        write_text(folder / "leaderboard.json", self.to_json() + "\n")


def leaderboard(
    records: Iterable[RunRecord],
    columns: Mapping[str, Sequence[Column]],
    current: Versions | None = None,
    expected: Callable[[Cell], int] | None = None,
    refused: Mapping[tuple[str, str], str] | None = None,
) -> Leaderboard:
    """The leaderboard of ``records``, whatever their order.

    columns: metric -> what it declares, in the order of the tables; metrics without a declaration are left out.
    current: versions that count; what it does not name counts in the highest version among the records.
    expected: the number of seeds of a row, by a cell of it; 0: as many as the best method of its board has.
    refused: (metric, column) -> why it is shown and not ranked.
    """
    kept = sorted(_distinct(records), key=_order)
    versions = {**_highest(kept), **(current or {}), **PROTOCOL}
    fresh = [record for record in kept if all(versions[key] == version for key, version in _made_with(record).items())]
    old = len(kept) - len(fresh)
    groups: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in fresh:
        groups.setdefault(_group(record), []).append(record)
    declared = {metric: [_ranking(metric, column, refused or {}) for column in own] for metric, own in columns.items()}
    boards = [_board(group, declared, versions, expected or _unknown) for _, group in sorted(groups.items())]
    notes = [f"{old} records of other versions of protocol or plugins are not shown"] if old else []
    notes += [f"{metric}.{name} is shown and not ranked: {why}" for (metric, name), why in (refused or {}).items()]
    return Leaderboard(tuple(boards), tuple(notes), across(boards))


def _ranking(metric: str, column: Column, refused: Mapping[tuple[str, str], str]) -> Column:
    return dataclasses.replace(column, ranked=column.ranked and (metric, column.name) not in refused)


def leaderboard_of(
    records: Iterable[RunRecord], columns: Mapping[str, Sequence[Column]], registry: Registry, suite: Suite | None
) -> Leaderboard:
    """The leaderboard of a suite's records, by the installed versions and the verdicts of suite or columns."""
    versions = current_versions(registry)
    if suite and suite.acceptance:
        verdicts = refused_columns(suite.acceptance, columns, versions)
    else:
        verdicts = {(metric, one.name): one.refused for metric, own in columns.items() for one in own if one.refused}
    return leaderboard(records, columns, versions, (lambda cell: len(suite.seeds(cell))) if suite else None, verdicts)


def current_versions(registry: Registry) -> dict[tuple[str, str], int]:
    """The versions of what is installed."""
    kinds = registry.offers().items()
    return {(kind, name): offer.spec.version for kind, offers in kinds for name, offer in offers.items()}


def _made_with(record: RunRecord) -> dict[tuple[str, str], int]:
    """The versions behind the directions of a record."""
    cell = record.cell
    names = {"generator": cell.generator, "method": cell.method, "domain": record.domain}
    names |= {kind: kind for kind, _ in PROTOCOL}
    return {(kind, name): record.versions.get(kind, 0) for kind, name in names.items()}


def _highest(records: Iterable[RunRecord]) -> dict[tuple[str, str], int]:
    highest: dict[tuple[str, str], int] = {}
    for record in records:
        metrics = {("metric", metric): record.versions.get(f"metric:{metric}", 0) for metric in record.scores}
        for key, version in {**_made_with(record), **metrics}.items():
            highest[key] = max(version, highest.get(key, 0))
    return highest


def _order(record: RunRecord) -> tuple[bool, str, str]:
    return record.status != "done", record.id, record.to_json()


def _distinct(records: Iterable[RunRecord]) -> list[RunRecord]:
    """One record for each id: a finished one where there is one."""
    kept: dict[str, RunRecord] = {}
    for record in sorted(records, key=_order):
        kept.setdefault(record.id, record)
    return list(kept.values())


def _group(record: RunRecord) -> tuple[Any, ...]:
    cell = record.cell
    made = json.dumps(dict(cell.generator_params), sort_keys=True)
    return cell.generator, cell.checkpoint, record.checkpoint_sha256, cell.tier, cell.k, made


def _board(
    records: Sequence[RunRecord],
    columns: Mapping[str, Sequence[Column]],
    versions: Versions,
    expected: Callable[[Cell], int],
) -> Board:
    """The board of one group; ``records`` are in ``_order``."""
    comparable, apart = _comparable(records)
    named = _named(comparable)
    numbers = _expected(named, expected)
    common = _common_params(comparable)
    shown = [
        (metric, column)
        for metric, declared in columns.items()
        if any(metric in record.scores for record in comparable)
        for column in declared
    ]
    entries: dict[str, list[Entry]] = {name: [] for name in named}
    for metric, column in shown:
        scores = {
            name: {seed: _score(run, metric, column.name, versions, common) for seed, run in runs.items()}
            for name, runs in named.items()
        }
        ranked = _ranks(scores, column, named, numbers)
        for name in named:
            entries[name].append(_entry(metric, column.name, scores[name], numbers[name], ranked.get(name)))
    rows = [_row(name, runs, entries[name]) for name, runs in named.items()]
    cell = records[0].cell
    return Board(
        generator=cell.generator,
        checkpoint=cell.checkpoint,
        domain=records[0].domain,
        tier=cell.tier,
        k=cell.k,
        columns=tuple(shown),
        rows=tuple(sorted(rows, key=_place(shown))),
        notes=(*_notes(records, apart, rows), *_beyond_notes(named)),
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


def _named(records: Sequence[RunRecord]) -> dict[str, dict[int, RunRecord]]:
    """Row -> seed -> record; a row is a method with its parameters and space, named by what tells rows apart."""
    named: dict[str, dict[int, RunRecord]] = {}
    spaces = {record.cell.space for record in records}
    for record in records:
        cell = record.cell
        others = [other.cell.method_params for other in records if other.cell.method == cell.method]
        different = [
            f"{key}={value}"
            for key, value in sorted(cell.method_params.items())
            if any(other.get(key) != value for other in others)
        ]
        place = f" in {cell.space}" if len(spaces) > 1 else ""
        name = f"{cell.method}{place}" + (f" ({', '.join(different)})" if different else "")
        named.setdefault(name, {}).setdefault(cell.seed, record)
    return named


def _unknown(cell: Cell) -> int:
    return 0


def _expected(named: Mapping[str, Mapping[int, RunRecord]], given: Callable[[Cell], int]) -> dict[str, int]:
    """Row -> N: as given, or the seeds of the best method; at least the seeds that were tried."""
    best = max((sum(run.status == "done" for run in runs.values()) for runs in named.values()), default=0)
    return {name: max(given(next(iter(runs.values())).cell) or best, len(runs)) for name, runs in named.items()}


def _score(record: RunRecord, metric: str, column: str, versions: Versions, common: Mapping[str, str]) -> Score:
    """The score of a record, void where it must not be compared."""
    if record.status != "done":
        return Score(None, f"{record.status}: {record.reason}")
    score = record.scores.get(metric, {}).get(column)
    if score is None:
        return Score(None, "not measured")
    if record.versions.get(f"metric:{metric}", 0) != versions["metric", metric]:
        return Score(None, "measured with another version of the metric")
    if _params(record, metric) != common[metric]:
        return Score(None, "measured with other parameters")
    return score


def _ranks(
    scores: Mapping[str, Mapping[int, Score]],
    column: Column,
    named: Mapping[str, Mapping[int, RunRecord]],
    expected: Mapping[str, int],
) -> dict[str, int]:
    runs = [next(iter(runs.values())) for runs in named.values()]
    if not column.ranked or column.better == "neither" or runs[0].cell.tier in UNRANKED:
        return {}
    methods = [name for name, run in zip(named, runs, strict=True) if run.role == "method" and not _beyond(named[name])]
    numbers = {name: _numbers(scores[name]) for name in methods}
    return ranks(numbers, column.better, {name for name in methods if len(numbers[name]) == expected[name]})


def _beyond(runs: Mapping[int, RunRecord]) -> int:
    """The most images that a seed's discovery rendered, where that is more than its tier allows; else 0.

    Such a method takes no part in ranks: it neither has one nor stands above others.
    """
    most = max((run.costs["discover"].images for run in runs.values() if "discover" in run.costs), default=0)
    cap = CAPS.get(next(iter(runs.values())).cell.tier)
    return most if cap is not None and most > cap else 0


def _beyond_notes(named: Mapping[str, Mapping[int, RunRecord]]) -> Iterator[str]:
    for name, runs in named.items():
        if images := _beyond(runs):
            tier = next(iter(runs.values())).cell.tier
            allowed = f"tier {tier} allows {CAPS[tier]:,}"
            yield f"{name} rendered {images:,} images in discovery, {allowed}: shown and not ranked"


def _numbers(scores: Mapping[int, Score]) -> dict[int, Array]:
    """Seed -> the score, or its values of blocks, moved so that their mean is the score."""
    numbers = {}
    for seed, score in sorted(scores.items()):
        if score.value is not None:
            blocks = np.array(score.blocks or (score.value,))
            numbers[seed] = score.value + blocks - blocks.mean()
    return numbers


def _entry(metric: str, column: str, scores: Mapping[int, Score], expected: int, rank: int | None) -> Entry:
    numbers = _numbers(scores)
    reasons = Counter(score.void for _, score in sorted(scores.items()) if score.void)
    note = "; ".join(f"{reason} ({count} seeds)" if count > 1 else str(reason) for reason, count in reasons.items())
    mean, low, high = interval(*alike([list(numbers.values())])) if numbers else (None, None, None)
    return Entry(metric, column, mean, low, high, len(numbers), expected, rank, note)


def _row(name: str, runs: Mapping[int, RunRecord], entries: Sequence[Entry]) -> Row:
    role = next(iter(runs.values())).role
    failures = [
        f"seed {seed}: {run.status}: {run.reason}" for seed, run in sorted(runs.items()) if run.status != "done"
    ]
    return Row(role, name, tuple(entries), tuple(failures))


def _place(shown: Sequence[tuple[str, Column]]) -> Callable[[Row], tuple[int, float, str]]:
    """The order of rows: role, rank in the first ranked column, name."""
    first = next(((metric, column.name) for metric, column in shown if column.ranked), None)

    def key(row: Row) -> tuple[int, float, str]:
        rank = row.entry(*first).rank if first else None
        return ROLES.index(row.role) if row.role in ROLES else len(ROLES), rank or float("inf"), row.method

    return key


def _notes(records: Sequence[RunRecord], apart: int, rows: Sequence[Row]) -> Iterator[str]:
    tier = records[0].cell.tier
    if tier in UNRANKED:
        yield NOT_CONVERGED if tier == "quick" else f"tier {tier} is not ranked"
    if any(record.checkpoint_status == "preview" for record in records):
        yield f"preview: checkpoint {records[0].cell.checkpoint} misses gates that its card names"
    if apart:
        yield f"{apart} records calibrated with another distance are not shown"
    if tier not in UNRANKED and any(entry.n < entry.expected for row in rows for entry in row.entries):
        yield "incomplete methods are shown and not ranked"
