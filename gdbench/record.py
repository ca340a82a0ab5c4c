"""The record of a run: everything that is kept, as one frozen value that reads from and writes to JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from gdbench.errors import IntegrityError
from gdbench.params import CLOSED, parsed

SCHEMA = 1
DISCOVERY = 1
"""Version of what decides directions besides the plugins: random streams and budgets. It is part of a run's id."""
EVALUATION = 2
"""Version of what decides scores besides the plugins: calibration and shared edits. A run made under another one keeps
its directions; they are calibrated and measured anew."""

Status = Literal["done", "incompatible", "failed", "timeout", "interrupted"]


@dataclass(frozen=True)
class Score:
    """One number of a metric, or None with the reason why it is void."""

    __pydantic_config__ = CLOSED | {"alias_generator": lambda name: "units" if name == "blocks" else name}

    value: float | None
    """The number, finite, in the unit of its column."""
    void: str | None = None
    """Why there is no number, in one line; None where there is one."""
    blocks: tuple[float, ...] = ()
    """What each block of the evaluation sample says of the number, from which intervals are made; empty where the
    metric does not say. Its key in JSON is ``units``, as in the records of every version."""

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
    """What one stage of a run used."""

    __pydantic_config__ = CLOSED

    images: int = 0
    """Images rendered, or computed up to a feature layer: one each."""
    backward: int = 0
    """Images that a gradient flowed back through."""
    cpu_seconds: float = 0.0
    """Seconds of CPU of the process."""
    wall_seconds: float = 0.0
    """Seconds on the clock."""
    peak_memory: int = 0
    """Bytes, at most."""


@dataclass(frozen=True)
class Cell:
    """What identifies a run: checkpoint x method x seed, with K, space, tier and parameters."""

    __pydantic_config__ = CLOSED

    generator: str
    """Family of the generator, as ``--gan`` names it."""
    checkpoint: str
    """Name of its weights."""
    method: str
    """Name of the method."""
    seed: int
    """Seed of discovery and of evaluation, at least 0."""
    k: int
    """How many directions were asked for, at least 1."""
    space: str
    """Where the directions live."""
    tier: str
    """Name of the budget."""
    generator_params: Mapping[str, Any] = field(default_factory=dict)
    """All parameters of the generator, defaults too."""
    method_params: Mapping[str, Any] = field(default_factory=dict)
    """All parameters of the method, defaults too."""
    domain: str = ""
    """What the images were taken to show, where the run asked for something else than the weights' card says."""


def digits(cell: Cell, versions: Mapping[str, int | None], weights: str) -> str:
    """What the id of a run ends with: a hash of everything that decides its directions, and of nothing else.

    versions: those that decide. weights: SHA-256 of the checkpoint, "" without one.
    """
    named = {name: value for name, value in dataclasses.asdict(cell).items() if name != "domain" or value}
    decides = {"cell": named, "versions": versions, "weights": weights}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class RunRecord:
    """One execution of a cell: everything that is kept of it beside its files."""

    __pydantic_config__ = CLOSED

    id: str
    """Name of the run's folder: the cell in short, and a hash of all that decides the directions."""
    cell: Cell
    """What was run."""
    status: Status
    """How it ended."""
    reason: str = ""
    """Why it is not ``done``, in one line."""
    role: Literal["method", "control", "reference"] = "method"
    """How boards group the row: ``method``, ``control`` or ``reference``."""
    domain: str = ""
    """What the images show."""
    distance: str = ""
    """Name of the perceptual distance that visible change is measured in."""
    checkpoint_sha256: str = ""
    """Hash of the weights, in hex; empty for a generator without any."""
    checkpoint_status: Literal["ready", "preview"] = "ready"
    """``ready`` or ``preview``: what the card of the weights said when the run was last measured."""
    checkpoint_lacks: str = ""
    """What a preview lacks, by the same card."""
    schema: int = SCHEMA
    """Version of this format."""
    versions: Mapping[str, int] = field(default_factory=dict)
    """``discovery``, ``evaluation``, ``generator``, ``method``, ``domain``, and ``metric:NAME`` for each metric."""
    metric_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Metric -> the parameters it was measured with."""
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    """Metric -> column -> score."""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """``discover``, ``calibrate`` or ``measure:NAME`` -> what it used."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Versions of Python and libraries, device, threads and commit."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path within the folder -> SHA-256 in hex."""
    command: str = ""
    """The command that makes the same run."""
    date: str = ""
    """When it began, ISO 8601 in UTC."""
    migrated_from: str = ""
    """The id under which an earlier version of the protocol recorded the same directions, or empty."""

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
        """Indented JSON without NaN or infinity. Halves of characters, as in a stranger's message, become "?"."""
        data = dataclasses.asdict(self)
        if not self.cell.domain:  # as in records from before there was the field
            del data["cell"]["domain"]
        for score in (score for columns in data["scores"].values() for score in columns.values()):
            if blocks := score.pop("blocks"):
                score["units"] = blocks
        whole = json.dumps(data, allow_nan=False, ensure_ascii=False).encode(errors="replace")
        return json.dumps(json.loads(whole), indent=1)

    @classmethod
    def from_json(cls, text: str, where: str = "record") -> RunRecord:
        """The record in ``text``. What another schema wrote is refused, and so are fields that this one does not have.

        Raises IntegrityError ``"where: ..."``, one line, when the text is no record that this version can read, or
        names files outside its folder.
        """
        try:
            if (schema := parsed(_Schema, text).schema) != SCHEMA:
                raise IntegrityError(f"{where}: schema {schema}, this gdbench reads {SCHEMA}")
            return _with_files_inside(parsed(cls, text))
        except ValueError as error:
            raise IntegrityError(f"{where}: not a run record ({error})") from None


@dataclass(frozen=True)
class _Schema:
    """What is read of a record first: the rest means something only under a schema that is known."""

    schema: int


def _with_files_inside(record: RunRecord) -> RunRecord:
    """The record, if none of its files leads out of the folder of the run. Raises ValueError."""
    for file in record.files:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\0" in file or not path.parts:
            raise ValueError(f"files: {file[:60]!r} does not lie in its folder")
    return record
