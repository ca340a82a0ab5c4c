"""The record of a run: everything that is kept, as one frozen value that reads from and writes to JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gdbench.errors import IntegrityError

SCHEMA = 1
DISCOVERY = 1
"""Version of what decides directions besides the plugins: random streams and budgets. It is part of a run's id."""
EVALUATION = 2
"""Version of what decides scores besides the plugins: calibration and shared edits. A run made under another one keeps
its directions; they are calibrated and measured anew."""

Status = Literal["done", "incompatible", "failed", "timeout", "interrupted"]


@dataclass(frozen=True)
class Score:
    """One number of a metric, or None with the reason why it is void.

    blocks: what each block of the evaluation sample says of it; empty where the metric does not say. In JSON its key
    is ``units``, as in the records of every version.
    """

    value: float | None
    void: str | None = None
    blocks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if (self.value is None) == (self.void is None):
            raise ValueError("a score is a number, or void with a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"a score must be finite, got {self.value}")
        if not all(map(math.isfinite, self.blocks)):
            raise ValueError("blocks must be finite")


@dataclass(frozen=True)
class Cost:
    """What a stage used. images: rendered in discovery (one each); backward: images differentiated through."""

    images: int = 0
    backward: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory: int = 0


@dataclass(frozen=True)
class Cell:
    """What identifies a run: checkpoint x method x seed with its parameters. ``suite`` names the file it came from."""

    generator: str
    checkpoint: str
    method: str
    seed: int
    k: int
    space: str
    tier: str
    generator_params: Mapping[str, Any] = field(default_factory=dict)
    method_params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One execution of a cell.

    versions: "discovery", "evaluation", "generator", "method", "domain" and one per metric, as "metric:NAME". role: how
    the leaderboard groups the row. metric_params: the parameters each metric was measured with. scores: metric ->
    column -> Score. costs: stage -> Cost. files: relative path -> sha256. checkpoint_status, checkpoint_lacks: what the
    card of the weights said when the run was last measured. migrated_from: the id under which an earlier
    version of the protocol recorded the same directions, or "".
    """

    id: str
    cell: Cell
    status: Status
    reason: str = ""
    role: str = "method"
    domain: str = ""
    distance: str = ""
    checkpoint_sha256: str = ""
    checkpoint_status: str = "ready"
    checkpoint_lacks: str = ""
    schema: int = SCHEMA
    versions: Mapping[str, int] = field(default_factory=dict)
    metric_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    date: str = ""
    migrated_from: str = ""

    def without(self, metrics: Collection[str]) -> RunRecord:
        """The record as if ``metrics`` had not been measured."""

        def kept(entries: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
            dropped = {f"{prefix}{name}" for name in metrics}
            return {name: value for name, value in entries.items() if name not in dropped}

        return dataclasses.replace(
            self,
            scores=kept(self.scores),
            versions=kept(self.versions, "metric:"),
            metric_params=kept(self.metric_params),
            costs=kept(self.costs, "measure:"),
        )

    def to_json(self) -> str:
        """Indented JSON without NaN or infinity."""
        data = dataclasses.asdict(self)
        for score in (score for columns in data["scores"].values() for score in columns.values()):
            if blocks := score.pop("blocks"):
                score["units"] = blocks
        return json.dumps(data, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = "record") -> RunRecord:
        """The record in ``text``; unknown fields of an older or newer schema are refused by name.

        Raises IntegrityError, naming ``where``, when the text is no record that this version can read.
        """
        try:
            data = json.loads(text)
            if data["schema"] != SCHEMA:
                raise IntegrityError(f"{where}: schema {data['schema']}, this gdbench reads {SCHEMA}")
            data["cell"] = Cell(**data["cell"])
            data["costs"] = {stage: Cost(**cost) for stage, cost in data["costs"].items()}
            data["scores"] = {
                metric: {column: _score(**score) for column, score in columns.items()}
                for metric, columns in data["scores"].items()
            }
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise IntegrityError(f"{where}: not a run record ({' '.join(str(error).split())[:200]})") from None


def _score(value: float | None, void: str | None = None, units: Sequence[float] = ()) -> Score:
    """The score that is written with these keys."""
    return Score(value, void, tuple(units))
