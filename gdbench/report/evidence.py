"""What pages show of a run: its record, and what its folder keeps of each direction. Missing files leave gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from gdbench.errors import GdbenchError
from gdbench.evaluation.pictures import Atlas, read_atlas
from gdbench.record import RunRecord
from gdbench.runs.store import STRIPS
from gdbench.runs.tables import BEST, GATE, SHARE, read_tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Direction:
    """One direction. shares: factor -> share. plus: what + does, in words, or "".

    magnitudes: (+, -) at the headline visible change, None where a side does not reach it; None where nothing is known.
    """

    index: int
    shares: Mapping[str, float] = field(default_factory=dict)
    plus: str = ""
    magnitudes: tuple[float | None, float | None] | None = None

    @property
    def leading(self) -> str:
        """The factor with the largest share; "" where no share is above 0."""
        return max(self.shares, key=lambda name: self.shares[name]) if self.share > 0 else ""

    @property
    def share(self) -> float:
        """The largest share; 0 where there is none."""
        return max(self.shares.values(), default=0.0)

    @property
    def dead(self) -> bool:
        """Whether neither side reaches a visible change."""
        return self.magnitudes == (None, None)


@dataclass(frozen=True)
class Evidence:
    """A run as pages show it. best: factor -> its best direction and that direction's share on other codes.

    gates: factor that does not count -> the gate that it fails. strips: the atlas of its directions and its geometry.
    """

    record: RunRecord
    directions: tuple[Direction, ...] = ()
    best: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    gates: Mapping[str, str] = field(default_factory=dict)
    strips: tuple[Path, Atlas] | None = None

    @property
    def sorted(self) -> list[Direction]:
        """Directions by share, the largest first; dead ones last."""
        return sorted(self.directions, key=lambda one: (one.dead, -one.share, one.index))


def evidence(record: RunRecord, folder: Path) -> Evidence:
    """The evidence of ``record`` in its folder."""
    table = _factor_table(folder)
    magnitudes = _magnitudes(folder)
    strips = _strips(folder)
    count = max(len(magnitudes), 0 if table is None else len(table), strips[1].rows if strips else 0)
    shares = _columns(table, SHARE)
    plus = [] if table is None or "plus" not in table else [str(text) for text in table["plus"]]
    directions = [
        Direction(
            index,
            {name: values[index] for name, values in shares.items() if math.isfinite(values[index])},
            plus[index] if plus else "",
            magnitudes[index] if index < len(magnitudes) else None,
        )
        for index in range(count)
    ]
    best = {name: found for name, values in _columns(table, BEST).items() if (found := _largest(values)) is not None}
    names = [] if table is None else [str(name).removeprefix(GATE) for name in table if str(name).startswith(GATE)]
    gates = {factor: gate for factor, _, gate in (name.partition(":") for name in names)}
    return Evidence(record, tuple(directions), best, gates, strips)


def _factor_table(folder: Path) -> pd.DataFrame | None:
    """The first metric's table with shares of factors, by the prefixes that ``gdbench.Scores`` documents."""
    try:
        tables = read_tables(folder)
    except (GdbenchError, OSError):
        return None
    return next((one for one in tables.values() if any(str(name).startswith(SHARE) for name in one)), None)


def _columns(table: pd.DataFrame | None, prefix: str) -> dict[str, list[float]]:
    names = [] if table is None else [str(name) for name in table if str(name).startswith(prefix)]
    return {name.removeprefix(prefix): [float(value) for value in table[name]] for name in names}  # type: ignore[index]


def _largest(values: Sequence[float]) -> tuple[int, float] | None:
    finite = [(value, -index) for index, value in enumerate(values) if math.isfinite(value)]
    return (-max(finite)[1], max(finite)[0]) if finite else None


def _magnitudes(folder: Path) -> list[tuple[float | None, float | None]]:
    from gdbench.evaluation.calibration import TENSORS, Calibration

    if not (folder / TENSORS).is_file():
        return []
    try:
        solved = Calibration.load(folder).magnitude().tolist()
    except (GdbenchError, SafetensorError, OSError, ValueError, KeyError):
        return []
    sides = [[value if math.isfinite(value) else None for value in row] for row in solved]
    return [(plus, minus) for plus, minus in sides]


def _strips(folder: Path) -> tuple[Path, Atlas] | None:
    path = folder / STRIPS
    try:
        return (path, read_atlas(path)) if path.is_file() else None
    except GdbenchError:
        return None
