"""Leaderboards from Python and notebooks: the tables of ``gdbench leaderboard``, as values and DataFrames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from gdbench.boards.board import Leaderboard
from gdbench.boards.leaderboard import leaderboard_of
from gdbench.columns import columns_of
from gdbench.record import RunRecord
from gdbench.registry import load_registry


class Recorded(Protocol):
    """What has a record: a run."""

    @property
    def record(self) -> RunRecord:
        """Its record."""
        ...


def leaderboard(
    runs: Iterable[Recorded | RunRecord], plugins: Sequence[str | Path] = (), changed: bool = False
) -> Leaderboard:
    """The leaderboard of ``runs``, whatever their order: a pure function of their records and of what is installed.

    plugins: files whose metrics declare columns. changed: count runs of changed code too, which nobody can repeat.
    ``to_frame()`` and ``to_rows()`` of what it gives have one row for each number.
    """
    records = [one if isinstance(one, RunRecord) else one.record for one in runs]
    registry = load_registry([Path(plugin) for plugin in plugins])
    return leaderboard_of(records, columns_of(registry), registry, None, changed)
