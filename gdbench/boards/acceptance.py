"""Which columns may rank methods, by the verdicts of an acceptance file (PROTOCOL.md section 6)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gdbench.errors import UsageError
from gdbench.specs import Column


def refused(
    path: Path, columns: Mapping[str, Sequence[Column]], versions: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], str]:
    """(metric, column) -> why it must not rank, for each ranking column that was not accepted as it is installed.

    path: JSON with ``versions`` (metric -> version) and ``refused`` ("metric.column" -> reason, "" where it passed).
    Raises UsageError for a file that cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        judged, reasons = dict(data["versions"]), dict(data["refused"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: no verdicts of an acceptance ({type(error).__name__}: {error})") from None
    found = {}
    for metric, declared in columns.items():
        for column in (column for column in declared if column.ranked):
            name = f"{metric}.{column.name}"
            version = versions.get(("metric", metric))
            if name not in reasons or judged.get(metric) != version:
                found[metric, column.name] = f"not tried in acceptance in version {version}"
            elif reasons[name]:
                found[metric, column.name] = f"acceptance: {reasons[name]}"
    return found
