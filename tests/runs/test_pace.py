"""The number of threads follows what the machine gives, measured on a clock of the test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from gdbench.context import SILENT
from gdbench.registry import load_registry
from gdbench.runs.pace import EVERY, Pace, pace_of
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest


@dataclass
class Machine:
    """A clock, and work that takes as long as the number of threads says."""

    seconds: Mapping[int, float]
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += self.seconds[torch.get_num_threads()]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("two", "chosen"), [(0.09, 2), (0.33, 1), (0.14, 1)], ids=["idle", "beside a neighbour", "hardly faster"]
)
def test_two_threads_are_taken_where_they_help(two: float, chosen: int) -> None:
    machine = Machine({1: 0.15, 2: two})
    Pace((1, 2), machine.clock).look(machine.work)
    assert torch.get_num_threads() == chosen


def test_it_looks_again_and_says_how_long_each_number_was_in_force() -> None:
    machine = Machine({1: 0.15, 2: 0.09})
    pace = Pace((1, 2), machine.clock)
    assert pace.due()
    pace.look(machine.work)
    assert not pace.due()
    machine.now += EVERY
    assert pace.due()
    machine.seconds = {1: 0.15, 2: 0.33}
    pace.look(machine.work)
    assert torch.get_num_threads() == 1
    machine.now += 7
    assert pace.facts() == {"1": 7.0, "2": EVERY}


def test_slow_images_are_tried_once() -> None:
    machine = Machine({1: 4.0, 2: 3.0})
    Pace((1, 2), machine.clock).look(machine.work)
    assert machine.now == 7


def test_nothing_is_chosen_where_a_number_is_asked_for_or_there_is_one_alone() -> None:
    torch.set_num_threads(6)
    assert pace_of(None, torch.device("cpu")).counts == (1, 2, 4, 6)
    assert not pace_of(2, torch.device("cpu")).due()
    assert not pace_of(None, torch.device("cuda")).due()
    assert not Pace((1,)).due()


def test_a_forked_process_keeps_its_number() -> None:
    """Where threads are set anew after a fork, torch may wait for ever."""
    pace = Pace((1, 2))
    child = os.fork()
    if child == 0:
        os._exit(int(pace.due()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pace.due()


def test_a_run_records_what_it_chose_leaves_the_number_as_it_was_and_counts_no_trial(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    registry = load_registry()
    chosen, told = (
        execute(
            plan(RunRequest("toy", "random", k=2, tier="smoke", metrics=("cost",), out=out, threads=n), registry),
            registry,
            SILENT,
        )[0]
        for out, n in ((tmp_path / "chosen", None), (tmp_path / "told", 1))
    )
    assert set(chosen.environment["threads_seconds"]) <= {"1", "2"}
    assert chosen.environment["threads_seconds"]
    assert "threads_seconds" not in told.environment
    assert torch.get_num_threads() == 2
    assert chosen.costs["calibrate"].images == told.costs["calibrate"].images
