"""How many threads: what the machine gives now decides, for two threads beside a busy neighbour are slower than one.

A run that is not told a number tries a few images with each when it begins to render, keeps the fastest, and looks
again now and then. Threads change how sums are rounded, never what is drawn.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

EVERY = 30.0
"""Seconds between two looks."""
TRIALS = 3
SLOW = 0.5
"""A trial of so many seconds is not repeated."""
WORTH = 0.9
"""More threads are taken where they need at most this share of the time that fewer need."""


@dataclass
class Pace:
    """The number of torch threads of this process, chosen by trial among ``counts`` (increasing).

    spent: number of threads -> seconds that passed with it.
    """

    counts: tuple[int, ...]
    clock: Callable[[], float] = time.perf_counter
    spent: dict[int, float] = field(default_factory=dict)
    _process: int = field(default_factory=os.getpid)
    _looked: float | None = None
    _since: float | None = None

    def due(self) -> bool:
        """Whether it is time to look, as it is at first; never in a forked process, which has no threads but one."""
        return (
            len(self.counts) > 1
            and os.getpid() == self._process
            and (self._looked is None or self.clock() - self._looked >= EVERY)
        )

    def look(self, work: Callable[[], object]) -> None:
        """Time ``work`` with each number in turn, several times, and go on with the fastest."""
        self.account()
        seconds: dict[int, list[float]] = {count: [] for count in self.counts}
        for _ in range(TRIALS):  # in turn, so that a passing disturbance meets all alike
            for count, measured in seconds.items():
                torch.set_num_threads(count)
                start = self.clock()
                work()
                measured.append(self.clock() - start)
            if max(map(max, seconds.values())) > SLOW:
                break
        best = self.counts[0]
        for count in self.counts[1:]:
            if statistics.median(seconds[count]) <= WORTH * statistics.median(seconds[best]):
                best = count
        torch.set_num_threads(best)
        self._looked = self._since = self.clock()

    def account(self) -> None:
        """Add the time since the last look to ``spent``."""
        now = self.clock()
        if self._since is not None:
            threads = torch.get_num_threads()
            self.spent[threads] = self.spent.get(threads, 0.0) + now - self._since
            self._since = now

    def facts(self) -> dict[str, float]:
        """Number of threads, as text -> seconds, for a record; empty where nothing was chosen."""
        self.account()
        return {str(count): round(seconds, 1) for count, seconds in sorted(self.spent.items())}


def pace_of(threads: int | None, device: torch.device) -> Pace:
    """What a run may choose among: 1, 2, 4, ... up to torch's own number; nothing if told, or not on a CPU."""
    most = torch.get_num_threads()
    if threads is not None or device.type != "cpu":
        return Pace((most,))
    counts = {2**power for power in range(most.bit_length()) if 2**power < most} | {most}
    return Pace(tuple(sorted(counts)))
