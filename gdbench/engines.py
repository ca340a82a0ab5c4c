"""Engines: what starts the processes of many cells, on this machine or on many. They start workers and nothing else:
what a run gave is in its folder, and only there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import Field

from gdbench.errors import UsageError

if TYPE_CHECKING:
    from gdbench.context import Reporter

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LEAST_MEMORY = 1_000_000


def size(value: int | str | None, name: str = "memory") -> int | None:
    """A size in bytes: a whole number, or text with a unit (KB, MB, GB of 1000; KiB, MiB, GiB of 1024).

    Raises UsageError.
    """
    if value is None:
        return None
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        found = int(TypeAdapter(ByteSize).validate_python(value))
    except ValidationError:
        found = 0
    if found < LEAST_MEMORY or isinstance(value, bool):
        raise UsageError(f"{name}: got {repr(value)[:60]}, expected a size from 1MB, as 2GB")
    return found


def seconds(value: float | str | None, name: str = "time") -> float | None:
    """A time in seconds: a number, or text with a unit: 90s, 30m, 1.5h, 2d. Raises UsageError."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value))
    found = float(match[1]) * UNITS[match[2] or "s"] if match else 0.0
    if found < 1 or isinstance(value, bool):
        raise UsageError(f"{name}: got {repr(value)[:60]}, expected a time from 1 s, as 90s, 30m, 4h or 2d")
    return found


@dataclass(frozen=True)
class Resources:
    """What one cell needs: CPUs, GPUs, memory (bytes, or "8GB"), time (s, or "4h"); None where nothing is said.

    memory and time are kept as numbers. Raises UsageError, one line, for whatever is out of range.
    """

    cpus: Annotated[int, Field(ge=1, le=4096)] = 1
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    memory: int | str | None = None
    time: float | str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", size(self.memory))
        object.__setattr__(self, "time", seconds(self.time))

    @property
    def bytes(self) -> int | None:
        """The memory in bytes."""
        return None if self.memory is None else int(self.memory)

    @property
    def seconds(self) -> float | None:
        """The time in seconds."""
        return None if self.time is None else float(self.time)


@dataclass(frozen=True)
class Job:
    """A process that an engine starts: ``command`` with ``input`` on its standard input, its output added to ``log``.

    name: that of the cell's run, good as a file name. input: JSON; its ``out`` is the folder that holds the run's
    folder. files: paths in ``command`` that must be there too where the process runs. folder: the run's folder.
    mark: handed back with the job's state.
    """

    name: str
    command: tuple[str, ...]
    input: str
    log: Path
    folder: Path
    files: tuple[Path, ...] = ()
    resources: Resources = field(default_factory=Resources)
    mark: str = ""

    def input_at(self, out: Path) -> str:
        """The input of the same job, whose run folder is to be made in ``out``."""
        return json.dumps({**json.loads(self.input), "out": str(out)})


@dataclass(frozen=True)
class JobState:
    """Where a job is.

    code: how an ended one ended, as ``subprocess`` tells it: negative is a signal; None where nobody knows. reason:
    what the engine knows of it, in words. status: "timeout" where its time was over, "interrupted" where somebody ended
    it, else "". folder: the run's folder as ``packed`` packs it, where the job ran without seeing this disk.
    """

    phase: Literal["waiting", "running", "ended"]
    code: int | None = None
    reason: str = ""
    status: Literal["", "timeout", "interrupted"] = ""
    mark: str = ""
    folder: bytes | None = None


class Engine(Protocol):
    """Starts jobs and says how they are. All calls come from one thread."""

    poll: float
    """Seconds between two looks at the states."""

    def room(self) -> int:
        """How many more jobs it takes now."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs, at once or when there is room. Raises UsageError for one that can never run here."""
        ...

    def states(self) -> Mapping[str, JobState]:
        """Name -> state of every job that was submitted, also by an earlier process, and not yet forgotten."""
        ...

    def forget(self, name: str) -> None:
        """The job's end was taken note of."""
        ...

    def cancel(self, names: Collection[str]) -> None:
        """End jobs, giving them the time to save; their states tell when they ended."""
        ...

    def close(self) -> str:
        """The bench ends: end what cannot go on without it. Returns what goes on, in words; "" where nothing does."""
        ...


@dataclass(frozen=True)
class EngineSetup:
    """What an engine is given: a folder of its own beside the runs, and how many cells may run at a time.

    at_once: None where nobody said.
    """

    folder: Path
    reporter: Reporter
    at_once: int | None = None


Settings = Mapping[str, Mapping[str, Any]]
"""Engine -> its parameters, as a suite states them."""
