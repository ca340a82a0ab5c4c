"""Which columns may rank methods, and by which difference at least: the verdicts of an acceptance file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdbench.errors import UsageError
from gdbench.specs import Column


@dataclass(frozen=True)
class Verdicts:
    """What was found of columns, by (metric, column). refused: why it must not rank. least: the least difference that
    counts, 0 or more."""

    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    least: Mapping[tuple[str, str], float] = field(default_factory=dict)


NOTHING = Verdicts()


@dataclass(frozen=True)
class Tests:
    """What was found of each column ("metric.column") in each test, to be shown. names: of the tests, in order.

    rows: column, why it must not rank ("" where it may), and for each test the verdict and the numbers behind it.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]


def read_tests(path: Path) -> Tests | None:
    """The tests behind the verdicts of an acceptance file, of columns for which at least one holds; None without."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        cells = [(str(one["column"]), str(one["test"]), str(one["verdict"]), _evidence(one)) for one in data["cells"]]
        reasons = {str(column): str(why) for column, why in data["refused"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    names = tuple(dict.fromkeys(test for _, test, _, _ in cells))
    found = {(column, test): (verdict, numbers) for column, test, verdict, numbers in cells}
    rows = [
        (column, why, tuple(found.get((column, test), ("does not apply", "")) for test in names))
        for column, why in reasons.items()
    ]
    return Tests(names, tuple(row for row in rows if any(verdict != "does not apply" for verdict, _ in row[2])))


def _evidence(cell: Mapping[str, Any]) -> str:
    return "; ".join(f"{one['generator']}: {one['numbers']}" for one in cell.get("evidence", ()))


def read_verdicts(
    path: Path, columns: Mapping[str, Sequence[Column]], versions: Mapping[tuple[str, str], int]
) -> Verdicts:
    """The verdicts on all columns as they are installed; a ranking column that was not tried so must not rank.

    path: JSON with ``versions`` (metric -> version), ``refused`` ("metric.column" -> reason, "" where it passed), and
    perhaps ``least`` ("metric.column" -> least difference that counts).
    Where there is no such file yet, nothing has been tried. Raises UsageError for a file that cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"versions": {}, "refused": {}}
        judged, reasons = dict(data["versions"]), dict(data["refused"])
        least = {name: float(value) for name, value in dict(data.get("least", {})).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: no verdicts of an acceptance ({type(error).__name__}: {error})") from None
    for name, value in least.items():
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{path}: least: {name}: got {value}, expected 0 or more")
    refused, counts = {}, {}
    for metric, declared in columns.items():
        version = versions.get(("metric", metric))
        current = judged.get(metric) == version
        for column in declared:
            name = f"{metric}.{column.name}"
            if current and name in least:
                counts[metric, column.name] = least[name]
            if column.ranked and (name not in reasons or not current):
                refused[metric, column.name] = f"not tried in acceptance in version {version}"
            elif column.ranked and reasons[name]:
                refused[metric, column.name] = f"acceptance: {reasons[name]}"
    return Verdicts(refused, counts)
