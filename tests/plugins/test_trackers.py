"""Trackers are told of a run's progress and scores, and break nothing, also where they fail or are absent."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gdbench_trackers import trackers

import gdbench
from gdbench.context import SILENT
from gdbench.registry import load_registry
from gdbench.watching import Watched
from tests.report.synthetic import record


class Double:
    """Stands for a module: every call is remembered, under the dotted name of what was called."""

    def __init__(self, calls: list[tuple[str, Any]], name: str = "", answers: dict[str, Any] | None = None) -> None:
        self._calls, self._name, self._answers = calls, name, answers or {}

    def __getattr__(self, name: str) -> Double:
        return Double(self._calls, f"{self._name}.{name}".strip("."), self._answers)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self._calls.append((self._name, given or named))
        return self._answers.get(self._name, self)


@pytest.fixture(autouse=True)
def nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in trackers.KINDS:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("kind", ["mlflow", "wandb"])
def test_a_tracker_is_told_numbers_scores_and_status(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []
    answers = {"MlflowClient.create_run": SimpleNamespace(info=SimpleNamespace(run_id="r1"))}
    monkeypatch.setitem(sys.modules, kind, Double(calls, answers=answers))  # type: ignore[arg-type]
    monkeypatch.setenv(f"GDBENCH_{kind.upper()}", "target")
    made = record("alpha", 0, 0.5)
    trackers.progressed(made.id, {"discover/loss": 1.5}, 25)
    trackers.finished(made)
    names = [name for name, _ in calls]
    text = repr(calls)
    assert "discover/loss" in text
    assert "score/known.both" in text
    assert "alpha" in text
    opened, closed = {"mlflow": ("MlflowClient", "set_terminated"), "wandb": ("init", "init.finish")}[kind]
    assert names[0].startswith(opened)
    assert names[-1].endswith(closed)
    assert trackers._OPEN == {}


def test_tensorboard_reads_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("GDBENCH_TENSORBOARD", str(tmp_path))
    made = record("alpha", 0, 0.5)
    for step in (25, 50):
        trackers.progressed(made.id, {"discover/loss": 100.0 / step}, step)
    trackers.finished(made)
    events = EventAccumulator(str(tmp_path / made.id)).Reload()
    assert [(one.step, one.value) for one in events.Scalars("discover/loss")] == [(25, 4.0), (50, 2.0)]
    assert events.Scalars("score/known.both")[0].value == pytest.approx(0.5)


def test_a_run_tells_its_training_and_its_end_and_survives_a_tracker_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    monkeypatch.setattr(trackers, "KINDS", {"GDBENCH_WANDB": lambda target, run: Kept(seen)})
    monkeypatch.setenv("GDBENCH_WANDB", "project")
    made = gdbench.run("toy", "voynov", k=4, tier="smoke", out=tmp_path)
    assert made.record.status == "done"
    steps = [step for what, step in seen if what == "numbers"]
    assert steps
    assert steps == sorted(steps)
    assert seen[-1][0] == "close"
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("GDBENCH_MLFLOW", "nowhere")
    made = gdbench.run("toy", "voynov", k=4, tier="smoke", seed=1, out=tmp_path)
    assert made.record.status == "done"


class Kept:
    def __init__(self, seen: list[tuple[str, int]]) -> None:
        self.seen = seen

    def numbers(self, values: Any, step: int) -> None:
        self.seen.append(("numbers", step))

    def close(self, record: Any, scores: Any) -> None:
        self.seen.append(("close", len(scores)))


def test_an_observer_that_raises_is_named_once_and_told_no_more(tmp_path: Path) -> None:
    plugin = tmp_path / "watcher.py"
    plugin.write_text(
        "from gdbench import hookimpl\ncalls = []\n"
        "@hookimpl\ndef gdbench_run_progressed(run, task, done, total, numbers):\n"
        "    calls.append(done)\n    raise ValueError(f'no at {done} of {total}')\n"
    )
    lines: list[str] = []

    class Log:
        def __getattr__(self, name: str) -> Any:
            return getattr(SILENT, name)

        def log(self, text: str) -> None:
            lines.append(text)

    watched = load_registry([plugin]).watched(Log(), "run-1")  # type: ignore[arg-type]
    assert isinstance(watched, Watched)
    with watched.task("discover", 10) as task:
        for _ in range(3):
            task.advance(2, loss=1.0)
        task.advance(4)
    assert len(lines) == 1
    assert "no at 2 of 10" in lines[0]
    assert task.done == 10  # type: ignore[attr-defined]
