"""A run's headline numbers in one line, beside those of the baseline on the same generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdbench.boards.cells import name, short
from gdbench.boards.statistics import mean_of

if TYPE_CHECKING:
    from gdbench.record import RunRecord
    from gdbench.specs import Column


def beside(record: RunRecord, columns: Mapping[str, Sequence[Column]], baselines: Sequence[RunRecord]) -> str:
    """``recall .297, precision .218, F1 .251 (random .181, .114, .140)``; "" where the run has no headline number.

    columns: metric -> what it declares. baselines: runs of one method, of which means are told; those of another
    generator, space, K, tier or version of a metric are left out.
    """
    shown = _shown(record, columns)
    numbers = [(column, record.scores[metric][column].value) for metric, column in shown]
    own = ", ".join(f"{name(column)} {short(value)}" for column, value in numbers if value is not None)
    alike = [one for one in baselines if one.cell.method != record.cell.method and _board(one) == _board(record)]
    means = [
        [value for one in alike if (value := _value(one, record, metric, column)) is not None]
        for metric, column in shown
    ]
    if not own or not means or not all(means):
        return own
    return f"{own} ({name(alike[0].cell.method)} {', '.join(short(mean_of(values)) for values in means)})"


def _shown(record: RunRecord, columns: Mapping[str, Sequence[Column]]) -> list[tuple[str, str]]:
    """The columns that rank, of the metric that has the headline, where the run has a number."""
    for metric, own in columns.items():
        there = record.scores.get(metric, {})
        if any(column.headline and column.name in there for column in own):
            ranked = [column.name for column in own if column.headline or (column.ranked and column.range == (0, 1))]
            return [(metric, one) for one in ranked if one in there and there[one].value is not None]
    return []


def _value(one: RunRecord, record: RunRecord, metric: str, column: str) -> float | None:
    version = f"metric:{metric}"
    score = one.scores.get(metric, {}).get(column)
    return score.value if score and one.versions.get(version) == record.versions.get(version) else None


def _board(one: RunRecord) -> tuple[object, ...]:
    """What runs must share to be compared."""
    cell = one.cell
    return (
        cell.generator,
        cell.checkpoint,
        one.checkpoint_sha256,
        cell.space,
        cell.k,
        cell.tier,
        dict(cell.generator_params),
    )
