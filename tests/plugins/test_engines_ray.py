"""The engine of Ray against a stand-in for Ray that runs tasks when asked; the real one is tried in tests/engines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from gdbench_engines.params import RayParams
from gdbench_engines.ray_engine import Ray, start

from gdbench import EngineSetup, GdbenchError, Job, JobState, Resources
from gdbench.context import SILENT
from gdbench.runs.carry import unpack

SAYS = """
import json, os, pathlib, sys
folder = pathlib.Path(json.load(sys.stdin)['out']) / 'a'
folder.mkdir(exist_ok=True)
(folder / 'made').write_text(os.environ['GIVEN'])
print('computed')
sys.exit(3)
"""


class Died(Exception):
    """A task whose machine died once too often."""


class Cancelled(Exception):
    """A task that was cancelled."""


class Task:
    """A function and its arguments, which the stand-in calls when it is asked for the result."""

    def __init__(self, function: Callable[..., Any], given: Sequence[Any]) -> None:
        self.function, self.given = function, given


class FakeRay(ModuleType):
    """What the engine uses of Ray. asked: what it said of each task."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[Task] = []
        self.dies, self.refuses, self.up = False, "", False
        self.exceptions = SimpleNamespace(TaskCancelledError=Cancelled)

    def is_initialized(self) -> bool:
        return self.up

    def init(self, **_: Any) -> None:
        if self.refuses:
            raise Exception(self.refuses)
        self.up = True

    def shutdown(self) -> None:
        self.up = False

    def remote(self, **needs: Any) -> Callable[[Callable[..., Any]], Any]:
        self.asked.append(needs)
        return lambda function: SimpleNamespace(remote=lambda *given: Task(function, given))

    def wait(self, tasks: list[Task], num_returns: int, timeout: float) -> tuple[list[Task], list[Task]]:
        assert (num_returns, timeout) == (len(tasks), 0)
        return tasks, []

    def get(self, task: Task) -> Any:
        if task in self.cancelled:
            raise Cancelled
        if self.dies:
            raise Died("node 7 died\nwith much to say")
        return task.function(*task.given)

    def cancel(self, task: Task) -> None:
        self.cancelled.append(task)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    made = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "1")
    return made


def engine(tmp_path: Path, **params: Any) -> Ray:
    return start(RayParams(**params), EngineSetup(tmp_path / "engine", SILENT, 3))


def job(tmp_path: Path, name: str = "a", **needs: Any) -> Job:
    given, log = json.dumps({"out": "x"}), tmp_path / "logs" / f"{name}.log"
    command = (sys.executable, "-c", SAYS)
    return Job(name, command, given, log, tmp_path / "runs" / name, resources=Resources(**needs), mark=f"mark {name}")


def test_a_task_asks_for_what_its_cell_needs_and_gives_the_folder_back(ray: FakeRay, tmp_path: Path) -> None:
    made = engine(tmp_path, retries=5, options={"resources": {"big": 1}}, environment={"GIVEN": "yes"})
    assert made.room() == 3
    made.submit([job(tmp_path, cpus=4, gpus=2, memory="2GB")])
    assert ray.asked == [
        {"max_retries": 5, "num_cpus": 4, "num_gpus": 2, "memory": 2_000_000_000, "resources": {"big": 1}}
    ]
    assert made.room() == 2
    state = made.states()["a"]
    assert (state.phase, state.code, state.mark) == ("ended", 3, "mark a")
    assert "computed" in (tmp_path / "logs" / "a.log").read_text()
    assert not (tmp_path / "runs").exists()  # who collects it unpacks it, where nobody else holds the run
    assert state.folder is not None
    unpack(state.folder, tmp_path / "here")
    assert (tmp_path / "here" / "made").read_text() == "yes"
    made.forget("a")
    assert made.states() == {}


def test_tasks_that_died_or_were_cancelled_say_so(ray: FakeRay, tmp_path: Path) -> None:
    made = engine(tmp_path)
    made.submit([job(tmp_path, "a"), job(tmp_path, "b")])
    made.cancel(["b", "no such"])
    ray.dies = True
    assert made.states() == {
        "a": JobState("ended", None, "Ray: Died: node 7 died", mark="mark a"),
        "b": JobState("ended", status="interrupted", mark="mark b"),
    }
    made.close()
    assert not ray.up


def test_a_cluster_that_was_there_before_stays(ray: FakeRay, tmp_path: Path) -> None:
    ray.up = True
    assert engine(tmp_path).close() == ""
    assert ray.up


def test_a_ray_that_does_not_start_is_one_line(ray: FakeRay, tmp_path: Path) -> None:
    ray.refuses = "The current node timed out during startup.\nand more"
    with pytest.raises(GdbenchError) as caught:
        engine(tmp_path, patience=150)
    assert str(caught.value) == (
        "Ray did not start: Exception: The current node timed out during startup.; -p patience=300 waits longer"
    )
