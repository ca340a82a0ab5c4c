"""What a user sees: progress, tables, one-line errors. Results go to stdout, everything else to stderr.

Names, reasons and messages come from plugins and files of strangers. They are shown as plain text: no markup of theirs
is obeyed and no control character reaches the terminal. rich is imported when something is shown, not before.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.progress import Task as RichTask
    from rich.table import Table
    from rich.text import Text

    from gdbench.context import Reporter, Task
    from gdbench.params import Parameter
    from gdbench.record import RunRecord, Score
    from gdbench.registry import Broken, Offer
    from gdbench.specs import Column

WIDE = 220
"""Width of tables where the output is no terminal: nothing is folded in a log."""
LONGEST = 2_000
_COLOURS = {"done": "green", "failed": "red", "timeout": "red", "incompatible": "yellow", "interrupted": "yellow"}


def clean(text: object) -> str:
    """One line of ``text`` without control, direction or surrogate characters, LONGEST characters at most."""
    line = " ".join(str(text)[: 2 * LONGEST].split())
    return "".join(character for character in line if character.isprintable())[:LONGEST]


def plain(value: object, style: str = "") -> Text:
    """A value as rich text that obeys no markup. None is empty, floats have four significant digits."""
    from rich.text import Text

    if value is None:
        return Text("")
    return Text(number(value) if isinstance(value, float) else clean(value), style=style)


def number(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def console(stderr: bool = False) -> Console:
    """A rich console on stdout or stderr, as they are now; characters that the encoding lacks are replaced."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    made = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


def say(line: object, style: str = "", stderr: bool = False) -> None:
    """Print one line, however long."""
    console(stderr).print(plain(line, style), soft_wrap=True)


def fail(error: BaseException) -> int:
    """Print an error as one line on stderr; returns the exit code of its kind."""
    from gdbench.errors import GdbenchError

    message = str(error) if isinstance(error, GdbenchError) else f"{type(error).__name__}: {error}"
    console(stderr=True).print(plain("error:", "bold red") + " " + plain(message), soft_wrap=True)
    return getattr(error, "exit_code", 1)


def print_json(data: Any) -> None:
    """Print ``data`` as JSON in ASCII on stdout, and nothing else. Raises ValueError for NaN and infinity."""
    sys.stdout.write(json.dumps(data, indent=1, allow_nan=False) + "\n")


def show(*tables: Table) -> None:
    """Print tables on stdout."""
    screen = console()
    for one in tables:
        screen.print(one)


# Progress


def reporter(quiet: bool = False) -> Reporter:
    """A live display where stderr is a terminal, log lines where it is none, nothing where ``quiet``."""
    if quiet:
        from gdbench.context import SILENT

        return SILENT
    screen = console(stderr=True)
    return LiveReporter(screen) if screen.is_terminal else PlainReporter(screen)


class Progressed(NamedTuple):
    """The state of a task: what both displays show."""

    title: str
    done: int
    total: int
    seconds: float
    speed: float | None
    numbers: Mapping[str, float]

    def __str__(self) -> str:
        share = f" ({self.done / self.total:.0%})" if self.total else ""
        parts = [f"{self.title} {self.done:,}/{self.total:,}{share}"]
        if self.speed and self.done < self.total:
            parts += [f"{number(self.speed)}/s", f"{duration((self.total - self.done) / self.speed)} left"]
        elif self.done >= self.total:
            parts.append(duration(self.seconds))
        return ", ".join(parts + [f"{name} {number(value)}" for name, value in self.numbers.items()])


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
            self.log(str(running.state()))


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
        if self.done < self.total and (since >= 5 or (since >= 1 and tenth)):
            self.shown = (self.reporter.clock(), self.done)
            self.reporter.log(str(self.state()))

    def state(self) -> Progressed:
        seconds = self.reporter.clock() - self.start
        speed = (self.done - self.first) / seconds if seconds > 0 else None
        return Progressed(self.title, self.done, self.total, seconds, speed, self.numbers)


class LiveReporter:
    """rich's progress display: a bar for each running task; a task that took a second leaves one line when it ends."""

    def __init__(self, screen: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn

        self.screen = screen
        self._progress: Progress = Progress(
            SpinnerColumn(), BarColumn(12), _state_column(), console=screen, transient=True, refresh_per_second=5
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
                self.log(str(state))


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
            return plain(_state(task))

    return State()


# Tables


def table(title: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A rich table; numbers stand right. Cells are values, or rich text made by ``plain``."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    made = Table(title=plain(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
    for index, header in enumerate(headers):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        made.add_column(plain(header), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return made


def score_table(record: RunRecord, columns: Mapping[str, Sequence[Column]]) -> Table:
    """The scores of a run. ``columns``: metric name -> what it declares, for unit and direction of better."""
    known = {(metric, column.name): column for metric, declared in columns.items() for column in declared}
    rows = []
    for metric, scores in record.scores.items():
        for index, (name, score) in enumerate(scores.items()):
            column = known.get((metric, name))
            better = {"higher": "higher is better", "lower": "lower is better"}.get(column.better, "") if column else ""
            rows.append(("" if index else metric, name, _score(score), column.unit if column else "", better))
    cell = record.cell
    title = f"{cell.generator}/{cell.checkpoint} x {cell.method}, seed {cell.seed}, K {cell.k}, {cell.tier}"
    return table(f"{title}: {record.status}", ("metric", "column", "score", "unit", ""), rows)


def _score(score: Score) -> object:
    return score.value if score.value is not None else plain(f"void: {score.void}", "yellow")


def cost_table(record: RunRecord) -> Table:
    """What each stage of a run used."""
    rows = [
        (stage, cost.images, cost.backward, cost.cpu_seconds, cost.wall_seconds, cost.peak_memory / 2**20)
        for stage, cost in record.costs.items()
    ]
    return table("cost", ("stage", "images", "backward", "CPU s", "wall s", "peak MiB"), rows)


def runs_table(records: Iterable[RunRecord]) -> Table:
    """One row for each run."""
    rows = [
        (
            record.id,
            f"{record.cell.generator}/{record.cell.checkpoint}",
            record.cell.method,
            record.cell.seed,
            record.cell.k,
            record.cell.tier,
            plain(record.status, _COLOURS.get(record.status, "")),
            record.reason,
        )
        for record in records
    ]
    return table("runs", ("run", "generator", "method", "seed", "K", "tier", "status", "reason"), rows)


def offers_table(kind: str, offers: Iterable[Offer[Any]]) -> Table:
    """Generators, methods, metrics or domains with the plugin that offers each."""
    rows = [(offer.spec.name, offer.spec.summary, offer.origin) for offer in offers]
    return table(kind, ("name", "what it is", "offered by"), rows)


def broken_table(broken: Iterable[Broken]) -> Table:
    """Plugins and offers that were refused, with the reason."""
    rows = [
        (plain(fault.offer or fault.name, "red"), fault.distribution, fault.version, fault.reason) for fault in broken
    ]
    return table("broken", ("name", "distribution", "version", "reason"), rows)


def parameters_table(title: str, parameters: Iterable[Parameter]) -> Table:
    """Parameters with type, default and help."""
    return table(title, ("name", "type", "default", "meaning"), parameters)
