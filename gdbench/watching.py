"""A reporter that tells observers too: the numbers of tasks that are running, for trackers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gdbench.offers import Broken, Implementation, guard

if TYPE_CHECKING:
    from gdbench.context import Reporter, Task


class Watched:
    """Shows what ``reporter`` shows, and tells observers of each state that has numbers.

    An observer that raises is named once and told no more: it never breaks a run. run: the id that observers are given.
    """

    def __init__(self, reporter: Reporter, run: str, observers: Iterable[Implementation]) -> None:
        self._reporter, self._run, self._observers = reporter, run, list(observers)

    def log(self, text: str) -> None:
        """Show one line."""
        self._reporter.log(text)

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        """Show a task, whose numbers observers are told."""
        with self._reporter.task(title, total, done) as shown:
            yield _Task(self, shown, title, total, done)

    def tell(self, task: str, done: int, total: int, numbers: dict[str, float]) -> None:
        """Tell every observer that has not failed yet."""
        for observer in list(self._observers):
            broken: list[Broken] = []
            with guard(observer.provider, broken):
                observer(run=self._run, task=task, done=done, total=total, numbers=dict(numbers))
            if broken:
                self._observers.remove(observer)
                self.log(f"observer failed, the run is not affected: {broken[0]}")


@dataclass
class _Task:
    watched: Watched
    shown: Task
    title: str
    total: int
    done: int

    def advance(self, steps: int = 1, **numbers: float) -> None:
        self.shown.advance(steps, **numbers)
        self.done += steps
        if numbers:
            self.watched.tell(self.title, self.done, self.total, numbers)
