"""What a plugin may use while it runs: seed, device, streams, domain, progress, resume points."""

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
        """``steps`` more are done; ``numbers`` (loss, accuracy) are shown beside. Pass plain floats, and rarely."""
        ...


class Reporter(Protocol):
    """Where progress and messages go: a live display, plain lines, or nothing."""

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """Show a task of ``total`` steps, ``done`` of them already."""
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
    """A signal ended the process; ``code`` is 128 and the signal's number."""


@dataclass
class StopRequest:
    """Whether somebody asked the work to end.

    listening: the work looks here often, and saves before it ends. error: what it raises then; None while nobody asked.
    progress: how far it had come, "step 2,075 of 3,000"; "" where nothing is known.
    """

    error: BaseException | None = None
    listening: bool = False
    progress: str = ""

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """While the block runs, a request waits until the work looks."""
        self.listening = True
        try:
            yield
        finally:
            self.listening = False


@dataclass(frozen=True)
class ResumePoint:
    """One file in which a stage keeps its state, replaced atomically; None keeps nothing.

    every: seconds between two saves. cost: what was spent so far, kept beside the state. stop: whether to save at once
    and end. warn: told in one line when a state that cannot be read was set aside.
    """

    path: Path | None = None
    every: float = 60.0
    cost: Callable[[], Mapping[str, Any]] = dict
    stop: StopRequest = field(default_factory=StopRequest)
    warn: Callable[[str], None] = _unheard

    def load(self) -> dict[str, Any] | None:
        """The last state, or None. A file that cannot be read is set aside, with a warning."""
        return self._read("state")

    def spent(self) -> dict[str, Any]:
        """What ``cost`` said when the last state was saved; empty where there is none."""
        return self._read("cost") or {}

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state."""
        if self.path is not None:
            with atomic_write(self.path) as file:
                torch.save({"state": dict(state), "cost": dict(self.cost())}, file)

    def _read(self, part: str) -> dict[str, Any] | None:
        """Read with ``weights_only``: no code from a file is ever run."""
        if self.path is None or not self.path.exists():
            return None
        try:
            kept: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)[part]
        except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError, OSError) as error:
            aside = self.path.with_name(f".{self.path.name}.unreadable")
            self.path.replace(aside)
            self.warn(f"{self.path}: cannot be resumed ({type(error).__name__}), kept as {aside.name}; starting afresh")
            return None
        return kept

    def clear(self) -> None:
        """Forget the state: the stage is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Context:
    """Everything a plugin may use.

    k: how many directions are asked for. space: where they must live. tier: the budget's name.
    domain: what the images show, where the plugin's ``needs`` name it. resume: where a learned method keeps its state.
    add_cost: ``add_cost(images, backward)`` adds images rendered, and images differentiated, to the run's cost. What
    ``generator.render`` does in this process is counted by itself; a method that has processes of its own charges what
    they do. Where nobody counts, it does nothing.
    """

    seed: int
    device: torch.device
    k: int
    space: str
    tier: Tier = "quick"
    domain: Domain | None = None
    reporter: Reporter = SILENT
    resume: ResumePoint = field(default_factory=ResumePoint)
    add_cost: Callable[[int, int], None] = _uncounted

    @property
    def charge(self) -> Callable[[int, int], None]:
        """The former name of ``add_cost``."""
        return self.add_cost

    def stream(self, purpose: str) -> Stream:
        """The random stream of (seed, purpose)."""
        return Stream(self.seed, purpose)

    def dimensions(self, generator: Generator) -> int:
        """How many dimensions the space has. Raises UsageError where they hold fewer than K independent directions."""
        dim = generator.dim(self.space)
        if self.k > dim:
            raise UsageError(
                f"K = {self.k} directions were asked for, but the space has {dim} dimensions; --k {dim} fits"
            )
        return dim
