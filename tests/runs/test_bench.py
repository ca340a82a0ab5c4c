"""Cells in child processes: what counts as success, what a crash leaves, and what happens when two benches meet."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from gdbench_engines.local import Local

from gdbench.context import SILENT, Reporter, Task
from gdbench.errors import GdbenchError
from gdbench.record import RunRecord
from gdbench.registry import load_registry
from gdbench.runs.bench import Bench, log_of
from gdbench.runs.logs import cut
from gdbench.runs.pipeline import blank
from gdbench.runs.planning import Plan, plan
from gdbench.runs.request import RunRequest
from gdbench.runs.settling import Outcome
from gdbench.runs.store import RunFolder, find_runs, open_run, read_records

WORKER = """
import json, os, pathlib, signal, sys, time
from dataclasses import replace
from gdbench.record import RunRecord, Score
from gdbench.runs.store import open_run

def finish(folder, **changes):
    folder.write(replace(blank, status='done', reason='', **changes))

request = json.loads(sys.stdin.read())
name = request['method_params']['id']
blank = RunRecord.from_json(request['method_params']['blank'])  # now: a held folder is waited for a moment alone
out, do = pathlib.Path(request['out']), request['suite']
if do == 'busy':
    sys.exit(4)
sys.excepthook = lambda kind, error, _: os._exit(getattr(error, 'exit_code', 1))  # as the worker does
with open_run(out, name) as folder:
    if do == 'good' and folder.done:  # as a real run does, which reads back what is finished
        sys.exit(0)
    folder.reopen()
    if do == 'die':
        os.kill(os.getpid(), signal.SIGKILL)
    while do == 'wait' and not (out / 'go').exists():
        time.sleep(.02)
    if do in ('good', 'wait'):
        print('computed')
        finish(folder, scores={'m': {'a': Score(1.0)}})
    if do == 'chatty':
        for number in range(20_000):
            print(f'line {number}', flush=number % 100 == 0)
        finish(folder)
sys.exit({'term': 143, 'raise': 1}.get(do, 0))
"""
"""What a child process may do to its parent, without the weight of a run."""


class Lines:
    """A reporter that keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        with SILENT.task(title, total, done) as task:
            yield task

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def some() -> Plan:
    return plan(RunRequest("toy", "random", k=4, tier="smoke", metrics=("cost",)), load_registry())


@pytest.fixture
def benches(some: Plan, tmp_path: Path) -> Benches:
    return Benches(some, tmp_path)


@dataclass(frozen=True)
class Benches:
    """Cells whose child processes do as they are told, in one folder."""

    some: Plan
    folder: Path

    def cell(self, name: str, do: str) -> Plan:
        made = replace(self.some, id=name, metrics=(), metric_params={})
        params = {"id": name, "blank": replace(blank(made), id=name).to_json()}
        request = replace(made.request, out=self.folder / "out", suite=do, method_params=params)
        return replace(made, request=request)

    def bench(self, jobs: int = 1, grace: float = 5.0, **settings: Any) -> Bench:
        engine = Local(jobs, (), None, None, grace)
        return Bench(engine, **{"patience": 0.1, "worker": (sys.executable, "-c", WORKER), **settings})

    def run(self, *plans: Plan, reporter: Reporter = SILENT, **settings: Any) -> list[Outcome]:
        return list(self.bench(**settings).run(plans, reporter))

    def records(self) -> list[RunRecord]:
        records, problems = read_records(find_runs(self.folder))
        assert problems == []
        return records


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("leave", "exited without a result"),
        ("busy", "exit code 4"),
        ("raise", "exit code 1"),
        ("die", "killed by signal 9, probably for lack of memory"),
    ],
)
def test_a_process_that_leaves_no_result_failed_and_keeps_its_row(benches: Benches, do: str, reason: str) -> None:
    for _ in range(2):  # the second bench finds the record of the first, which is not one of its own execution
        (outcome,) = benches.run(benches.cell("a", do))
        assert (outcome.status, reason in outcome.reason) == ("failed", True)
        assert [(record.status, record.reason) for record in benches.records()] == [("failed", reason)]


def test_of_a_long_log_the_end_is_kept(benches: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbench.runs.logs.LARGEST", 8_000)
    chatty = benches.cell("a", "chatty")
    (outcome,) = benches.run(chatty)
    assert outcome.status == "done"
    lines = log_of(chatty).read_text().splitlines()
    assert lines[0] == "(what was printed before is left out)"
    assert lines[-1] == "line 19999"
    assert set(lines[1:]) <= {f"line {number}" for number in range(20_000)}
    assert log_of(chatty).stat().st_size <= 8_000
    (benches.folder / "short.log").write_text("x" * 8_000)
    cut(benches.folder / "short.log")
    cut(benches.folder / "none.log")
    assert (benches.folder / "short.log").read_text() == "x" * 8_000


def test_a_child_that_was_asked_to_stop_did_not_fail(benches: Benches) -> None:
    (outcome,) = benches.run(benches.cell("a", "term"))
    assert outcome.status == "interrupted"


def test_two_jobs_run_at_the_same_time(benches: Benches) -> None:
    """The first cell ends only when the second has."""
    first, second = benches.cell("first", "wait"), benches.cell("second", "good")
    running = benches.bench(jobs=2).run([first, second], SILENT)
    assert next(running).plan.id == "second"
    (benches.folder / "out" / "go").touch()
    assert [outcome.plan.id for outcome in running] == ["first"]
    assert [record.status for record in benches.records()] == ["done", "done"]


def test_a_kill_in_a_measurement_spares_the_finished_run(benches: Benches) -> None:
    assert benches.run(benches.cell("a", "good"))[0].status == "done"
    before = benches.records()
    more = replace(benches.cell("a", "die"), metrics=benches.some.metrics, metric_params=benches.some.metric_params)
    (outcome,) = benches.run(more)
    assert (outcome.status, "signal 9" in outcome.reason) == ("failed", True)
    assert benches.records() == before


def test_what_a_killed_child_started_does_not_keep_the_lock(benches: Benches) -> None:
    forks = WORKER.replace(
        "    if do == 'die':", "    if do == 'die' and not os.fork():\n        time.sleep(600)\n    if do == 'die':"
    )
    (outcome,) = benches.run(benches.cell("a", "die"), worker=(sys.executable, "-c", forks), grace=30.0)
    assert "signal 9" in outcome.reason
    assert outcome.seconds < 20


@pytest.mark.parametrize(("status", "reason"), [("done", ""), ("failed", "as the other one saw it")])
def test_a_cell_that_another_process_holds_is_waited_for_and_believed(
    benches: Benches, status: Any, reason: str
) -> None:
    held, other, told = benches.cell("held", "die"), benches.cell("other", "good"), Lines()
    with open_run(held.request.out, held.id) as folder:
        running = benches.bench(grace=0.1).run([held, other], told)
        assert next(running).plan.id == "other"
        folder.write(replace(blank(held), status=status, reason=reason))
    (outcome,) = running
    assert (outcome.status, reason in outcome.reason) == (status, True)
    assert told.lines == ["waiting for other processes that hold held"]
    assert folder.read().reason == reason  # not overwritten


def test_a_cell_that_is_taken_while_its_process_starts_is_neither_lost_nor_overwritten(benches: Benches) -> None:
    """Its holder claims it after the parent looked and before the child ends; it goes without leaving a record."""
    held, looks, real = benches.cell("held", "die"), [0], RunFolder.held

    def blind_at_first(folder: RunFolder) -> bool:
        looks[0] += 1
        return looks[0] > 1 and bool(real.fget(folder))  # type: ignore[attr-defined]

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(RunFolder, "held", property(blind_at_first))
        with open_run(held.request.out, held.id):
            running = pool.submit(lambda: benches.run(held))
            while looks[0] < 3:
                time.sleep(0.1)
            assert benches.records() == []
            assert not running.done()
        assert "signal 9" in running.result()[0].reason  # free again, it is run after all


def test_two_benches_share_the_work(benches: Benches) -> None:
    cells = [benches.cell(name, "good") for name in "abcdef"]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: benches.run(*cells), range(2)))
    assert [[outcome.status for outcome in outcomes] for outcomes in both] == [["done"] * 6] * 2
    assert len(benches.records()) == 6
    logs = [path.read_text() for path in (benches.folder / "out" / "logs").iterdir()]
    assert logs.count("computed\n") == 6  # none was computed twice


def test_a_place_that_cannot_be_written_is_one_line_before_anything_starts(benches: Benches) -> None:
    (benches.folder / "out").write_text("a file in the way")
    with pytest.raises(GdbenchError, match=r"cannot write here .*--out"):
        benches.run(benches.cell("a", "good"))


def test_who_does_not_stay_leaves_what_others_hold_to_them(benches: Benches) -> None:
    held, other, told = benches.cell("held", "good"), benches.cell("other", "good"), Lines()
    with open_run(held.request.out, held.id):
        outcomes = benches.run(held, other, reporter=told, stays=False)
    assert [outcome.plan.id for outcome in outcomes] == ["other"]
    assert told.lines == ["1 cells are left to other processes, which hold them: held"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_bench_that_is_asked_to_end_takes_its_children_along_and_says_what_is_left(
    benches: Benches, number: signal.Signals
) -> None:
    inherited = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    told = Lines()

    def send() -> None:
        while not (benches.folder / "out" / ".claims" / "a" / "1" / "holder").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), number)

    timer = threading.Thread(target=send)
    timer.start()
    try:
        with pytest.raises(BaseException) as caught:
            benches.run(benches.cell("a", "wait"), benches.cell("b", "wait"), reporter=told)
    finally:
        timer.join()
        signal.signal(number, inherited)
    assert isinstance(caught.value, KeyboardInterrupt if number == signal.SIGINT else SystemExit)
    assert "interrupted, 2 cells are to go; what ran saves; the same command goes on" in told.lines
    assert not RunFolder(benches.folder / "out" / "a").held
