"""Processes that torchrun started: who is called, what they spent, and what torchrun is refused for."""

from __future__ import annotations

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from gdbench import UsageError
from gdbench.record import Cost
from gdbench.runs.process_group import ALONE, ProcessGroup, joined, refuse


def two() -> tuple[ProcessGroup, ProcessGroup]:
    store = HashStore()
    return ProcessGroup(0, 2, store), ProcessGroup(1, 2, store)


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def test_the_others_are_called_when_discovery_begins_and_dismissed_where_it_does_not() -> None:
    first, other = two()
    with first.released():
        first.call()
    assert other.called()
    first, other = two()
    with pytest.raises(ZeroDivisionError), first.released():
        raise ZeroDivisionError
    assert not other.called()


def test_costs_are_summed_but_wall_clock() -> None:
    first, other = two()
    other.report(Cost(images=3, backward=2, cpu_seconds=1.5, wall_seconds=9.0, peak_memory=5))
    total = first.total(Cost(images=4, backward=1, cpu_seconds=2.0, wall_seconds=7.0, peak_memory=6))
    assert total == Cost(images=7, backward=3, cpu_seconds=3.5, wall_seconds=9.0, peak_memory=11)
    assert ALONE.total(Cost(images=4)) == Cost(images=4)


def test_without_torchrun_a_process_is_alone() -> None:
    assert joined("random", shareable=False) == ALONE
    refuse("bench")


@pytest.mark.usefixtures("torchrun")
def test_torchrun_is_refused_where_there_is_nothing_to_share() -> None:
    with pytest.raises(UsageError, match="torchrun started 2 processes, but random discovers in one"):
        joined("random", shareable=False)
    with pytest.raises(UsageError, match="run `gdbench bench` without it"):
        refuse("bench")
