"""Progress of a run: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gdbench.console import clean, console, number, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.progress import Task as RichTask
    from rich.text import Text

    from gdbench.context import Reporter, Task


class Progressed(NamedTuple):
    """The state of a task: what both displays show. ``total`` is what was expected: a search may take more, or less."""

    title: str
    done: int
    total: int
    seconds: float
    speed: float | None
    numbers: Mapping[str, float]
    ended: bool = False

    def __str__(self) -> str:
        if self.done > self.total or (self.ended and self.done < self.total):
            parts = [f"{self.title} {self.done:,} ({self.total:,} were expected)", duration(self.seconds)]
            return ", ".join(parts + self._shown_numbers())
        share = f" ({self.done / self.total:.0%})" if self.total else ""
        parts = [f"{self.title} {self.done:,}/{self.total:,}{share}"]
        if self.speed and self.done < self.total:
            each = f"{number(self.speed)}/s" if self.speed >= 0.5 else f"{number(1 / self.speed)} s each"
            parts += [each, f"{duration((self.total - self.done) / self.speed)} left"]
        elif self.done >= self.total:
            parts.append(duration(self.seconds))
        return ", ".join(parts + self._shown_numbers())

    def _shown_numbers(self) -> list[str]:
        return [f"{name} {number(value)}" for name, value in self.numbers.items()]


def duration(seconds: float) -> str:
    """``8.2 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@dataclass
class PlainReporter:
    """Log lines: one every five seconds, or every tenth of a task where that takes a second or more."""

    screen: Console
    clock: Callable[[], float] = time.monotonic

    def log(self, text: str) -> None:
        """Print one line."""
        self.screen.print(plain(text), soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """A task whose state is printed now and then, and at its end unless it was over at once."""
        running = _PlainTask(self, title, total, done, start=self.clock(), first=done)
        yield running
        if self.clock() - running.start >= 1:
            self.log(str(running.state(ended=True)))


@dataclass
class _PlainTask:
    reporter: PlainReporter
    title: str
    total: int
    done: int
    start: float
    first: int
    numbers: dict[str, float] = field(default_factory=dict)
    shown: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self.shown = (self.start, self.done)

    def advance(self, steps: int = 1, **numbers: float) -> None:
        self.done += steps
        self.numbers.update(numbers)
        since, tenth = self.reporter.clock() - self.shown[0], 10 * (self.done - self.shown[1]) >= self.total
        if self.done != self.total and (since >= 5 or (since >= 1 and tenth)):
            self.shown = (self.reporter.clock(), self.done)
            self.reporter.log(str(self.state()))

    def state(self, ended: bool = False) -> Progressed:
        seconds = self.reporter.clock() - self.start
        speed = (self.done - self.first) / seconds if seconds > 0 else None
        return Progressed(self.title, self.done, self.total, seconds, speed, self.numbers, ended)


class LiveReporter:
    """rich's progress display: a bar for each running task; a task that took a second leaves one line when it ends."""

    def __init__(self, screen: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn

        self.screen = screen
        self._progress: Progress = Progress(
            SpinnerColumn(),
            BarColumn(12),
            _state_column(),
            console=screen,
            transient=True,
            refresh_per_second=5,
            redirect_stdout=False,  # what plugins print comes as log lines; rich would obey its control codes
            redirect_stderr=False,
        )
        self._running = 0

    def log(self, text: str) -> None:
        """Print one line above the display."""
        self.screen.print(plain(text), soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """A task with a bar while it runs."""
        if self._running == 0:
            self._progress.start()
        self._running += 1
        running = _LiveTask(
            self._progress, self._progress.add_task(clean(title), total=total, completed=done, numbers={})
        )
        ended = False
        try:
            yield running
            ended = True
        finally:
            state = _state(running.rich)
            self._progress.remove_task(running.key)
            self._running -= 1
            if self._running == 0:
                self._progress.stop()
            if ended and state.seconds >= 1:
                self.log(str(state._replace(ended=True)))


@dataclass(frozen=True)
class _LiveTask:
    progress: Progress
    key: TaskID
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def rich(self) -> RichTask:
        return next(task for task in self.progress.tasks if task.id == self.key)

    def advance(self, steps: int = 1, **numbers: float) -> None:
        self.numbers.update(numbers)
        self.progress.update(self.key, advance=steps, numbers=self.numbers)


def _state(task: RichTask) -> Progressed:
    seconds = task.elapsed or 0.0
    numbers: Mapping[str, float] = task.fields["numbers"]
    return Progressed(task.description, int(task.completed), int(task.total or 0), seconds, task.speed, numbers)


def _state_column() -> Any:
    from rich.progress import ProgressColumn

    class State(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            return plain(str(_state(task)))

    return State()


def reporter(quiet: bool = False) -> Reporter:
    """A live display where stderr is a terminal, log lines where it is none, nothing where ``quiet``."""
    if quiet:
        from gdbench.context import SILENT

        return SILENT
    screen = console(stderr=True)
    return LiveReporter(screen) if screen.is_terminal else PlainReporter(screen)
