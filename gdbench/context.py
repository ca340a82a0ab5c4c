"""What a plugin is given while it runs: seed, device, random streams, domain, progress display and resume points."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from gdbench.errors import UsageError
from gdbench.files import atomic_write
from gdbench.protocols import Domain, Generator
from gdbench.streams import Stream
from gdbench.tiers import Tier


class Task(Protocol):
    """A piece of work whose progress is shown."""

    def advance(self, steps: int = 1, **numbers: float) -> None:
        """Say that ``steps`` more are done. ``numbers`` (loss, accuracy) are shown beside them.

        They are plain floats: reading one off a GPU makes the GPU wait, so pass them every tenth step or more rarely.
        """
        ...


class Reporter(Protocol):
    """Where progress and messages go: a live display, plain lines, or nothing."""

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """Show a task of about ``total`` steps while the block runs; ``done`` of them were done by an earlier
        process."""
        ...

    def log(self, text: str) -> None:
        """Show one line."""
        ...


class _Silent:
    def advance(self, steps: int = 1, **numbers: float) -> None: ...

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        yield self

    def log(self, text: str) -> None: ...


SILENT: Reporter = _Silent()


def _unheard(text: str) -> None: ...


def _uncounted(images: int, backward: int) -> None: ...


class Stopped(SystemExit):
    """A signal ended the process. ``code`` is its exit code: 128 plus the number of the signal."""


@dataclass
class StopRequest:
    """Whether somebody asked the work to end, as Ctrl-C and signals do."""

    error: BaseException | None = None
    """What the work raises when it ends for that; None while nobody asked."""
    listening: bool = False
    """The work looks here after every step, and saves before it ends. Otherwise ``error`` is raised at once."""
    progress: str = ""
    """How far the work had come, as "step 2,075 of 3,000"; empty where nothing is known."""

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """While the block runs, a request waits until the work looks for it."""
        self.listening = True
        try:
            yield
        finally:
            self.listening = False


@dataclass(frozen=True)
class ResumePoint:
    """Where a stage keeps its state, so that a process that was ended can be continued by another one.

    The state before the last is kept too, beside it, for the day when the last one cannot be read.
    """

    path: Path | None = None
    """The file, which is replaced as a whole, never half; None keeps nothing."""
    every: float = 60.0
    """Seconds between two saves."""
    cost: Callable[[], Mapping[str, Any]] = dict
    """Gives what was spent so far, which is kept beside the state and counts for the process that goes on."""
    stop: StopRequest = field(default_factory=StopRequest)
    """Whether to save at once and end."""
    warn: Callable[[str], None] = _unheard
    """Is called with one line where a state cannot be read and was set aside."""

    def load(self) -> dict[str, Any] | None:
        """The last state, or None. One that cannot be read is set aside with a warning; the one before it counts."""
        return self._read("state")

    def spent(self) -> dict[str, Any]:
        """What ``cost`` gave when the last state was saved; empty where no state is kept."""
        return self._read("cost") or {}

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state that is kept. state: tensors and plain values, by name."""
        if self.path is not None:
            fresh = self._beside("new")
            with atomic_write(fresh) as file:
                torch.save({"state": dict(state), "cost": dict(self.cost())}, file)
            if self.path.exists():
                self.path.replace(self._beside("before"))
            fresh.replace(self.path)

    def _read(self, part: str) -> dict[str, Any] | None:
        """Read with ``weights_only``: no code from a file is ever run."""
        if self.path is None or not self._found():
            return None
        try:
            kept: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)[part]
        except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError, OSError) as error:
            aside = self._beside("unreadable")
            self.path.replace(aside)
            then = "going on from the state before it" if self._found() else "starting afresh"
            self.warn(f"{self.path}: cannot be resumed ({type(error).__name__}), kept as {aside.name}; {then}")
            return self._read(part)
        return kept

    def _found(self) -> bool:
        """Whether there is a state; the one before the last takes its place where that is gone."""
        assert self.path is not None
        if not self.path.exists() and self._beside("before").exists():
            self._beside("before").replace(self.path)
        return self.path.exists()

    def _beside(self, what: str) -> Path:
        assert self.path is not None
        return self.path.with_name(f".{self.path.name}.{what}")

    def clear(self) -> None:
        """Forget the state: the stage is done."""
        if self.path is not None:
            self._beside("before").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Context:
    """Everything that a plugin is given beside the generator and its parameters."""

    seed: int
    """Seed of the run, at least 0. All randomness comes from ``stream``, which depends on it."""
    device: torch.device
    """Where the generator's tensors are, and where the plugin's should be."""
    k: int
    """How many directions are asked for, at least 1."""
    space: str
    """The latent space in which the directions must live, one of ``generator.spaces``."""
    tier: Tier = "quick"
    """The name of the budget."""
    domain: Domain | None = None
    """What the images show, for a plugin whose ``needs`` name it; None for any other."""
    reporter: Reporter = SILENT
    """Where progress and messages go."""
    resume: ResumePoint = field(default_factory=ResumePoint)
    """Where a learned method keeps its state."""
    add_cost: Callable[[int, int], None] = _uncounted
    """``add_cost(images, backward)`` adds images rendered, and images differentiated, to the cost of the run. What
    ``generator.render`` does in this process is counted without it; a method with processes of its own adds what they
    do. It does nothing where nobody counts."""

    @property
    def charge(self) -> Callable[[int, int], None]:
        """The former name of ``add_cost``."""
        return self.add_cost

    def stream(self, purpose: str) -> Stream:
        """The random stream of this seed for a purpose; streams of different purposes are independent."""
        return Stream(self.seed, purpose)

    def dimensions(self, generator: Generator) -> int:
        """How many dimensions the space has. Raises UsageError where that is fewer than the K directions asked for."""
        dim = generator.dim(self.space)
        if self.k > dim:
            raise UsageError(
                f"K = {self.k} directions were asked for, but the space has {dim} dimensions; --k {dim} fits"
            )
        return dim
