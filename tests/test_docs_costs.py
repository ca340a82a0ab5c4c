"""docs/costs.py: how long cells take on some workers, by hand and within the bounds that no schedule can leave."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from gdbench.record import Cell, Cost, RunRecord

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("costs", ROOT / "docs" / "costs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["costs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_a_schedule_is_that_of_the_longest_first(page: ModuleType) -> None:
    cells = [3.0, 3.0, 2.0, 2.0, 2.0]
    assert page.makespan(cells, 1) == sum(cells)
    assert page.makespan(cells, 2) == 7.0  # Graham 1969: 3 + 2 + 2 beside 3 + 2, where 6 would do
    assert page.makespan(cells, 64) == max(cells)


def test_a_shorter_training_and_a_metric_on_request_do_not_count(page: ModuleType) -> None:
    cell = Cell("sngan", "scenes32", "random", 0, 32, "z", "quick", method_params={"whiten": True})
    stages = ("discover", "calibrate", "measure:recovery", "measure:saliency")
    run = RunRecord("id", cell, "done", costs=dict.fromkeys(stages, Cost(cpu_seconds=1.0)))
    other = replace(run, cell=replace(cell, method_params={"whiten": False}))
    assert [list(one.costs) for one in page.usual([run, other])] == [list(stages[:3]), list(stages[1:3])]


def test_costs_are_medians_and_what_is_not_measured_says_so(page: ModuleType) -> None:
    records = []
    for seed, seconds in enumerate((10.0, 30.0, 20.0)):
        cell = Cell("gan", "small", "learned", seed, 32, "z", "quick")
        costs = {
            "discover": Cost(cpu_seconds=seconds),
            "calibrate": Cost(cpu_seconds=4.0),
            "measure:m": Cost(cpu_seconds=1.0),
        }
        records.append(RunRecord("id", cell, "done", scores={"m": {}}, costs=costs))
    costs = page.costs_of(records)
    assert costs.of("learned", "gan/small", "quick") == (25.0, True)
    assert costs.of("learned", "gan/other", "quick") == (25.0, False)
    assert costs.of("learned", "gan/small", "standard") == (page.BUDGET * 20.0 + 5.0, False)
