"""Clauses E: what every engine keeps. They are tried with jobs of a moment; an engine that needs what is not here is
skipped with the reason."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gdbench.context import SILENT
from gdbench.engines import Engine, EngineSetup, Job, JobState, Resources
from gdbench.params import build
from gdbench.specs import resolve
from gdbench.testing.cases import EngineCase
from gdbench.testing.results import Check, Skipped, expect

PATIENCE = 300.0
MEMBERS = ("poll", "room", "submit", "states", "forget", "cancel", "close")
READS = "import json, sys; print('read', *json.load(sys.stdin)); sys.exit(int(sys.argv[1]))"
SLEEPS = "import time; print('asleep', flush=True); time.sleep(600)"


def checks(subject: str, case: EngineCase) -> Iterator[Check]:
    """The checks of an engine."""
    yield Check(subject, "E01", check_engine_starts, case)
    yield Check(subject, "E02", check_engine_tells_how_jobs_end, case)
    yield Check(subject, "E03", check_engine_cancels, case)
    yield Check(subject, "E04", check_engine_keeps_the_time_limit, case)


def check_engine_starts(case: EngineCase) -> None:
    """The engine starts, has every member of the protocol, no jobs, and room for one."""
    with _started(case) as (engine, _):
        lacking = [name for name in MEMBERS if not hasattr(engine, name)]
        expect(not lacking, f"lacks {', '.join(lacking)}")
        expect(dict(engine.states()) == {}, f"states() of a new engine: {dict(engine.states())}")
        expect(engine.room() > 0, f"room() of a new engine: got {engine.room()}, expected more than 0")


def check_engine_tells_how_jobs_end(case: EngineCase) -> None:
    """Exit codes 0 and 3 are told, with the mark of each job; input is read, output is in the log; then it forgets."""
    with _started(case) as (engine, folder):
        jobs = [_job(folder, f"job{code}", READS, str(code)) for code in (0, 3)]
        states = _run(engine, jobs)
        for job, code in zip(jobs, (0, 3), strict=True):
            state = states[job.name]
            expect(state.code == code, f"a job that exits with {code}: state {state}")
            expect(state.mark == job.name, f"mark: got {state.mark!r}, expected {job.name!r}, handed back")
            log = job.log.read_text() if job.log.exists() else "nothing"
            expect("read out" in log, f"the log holds {log[-200:]!r}, expected the job's output, which read its input")
            engine.forget(job.name)
        expect(dict(engine.states()) == {}, f"states() after forget: {dict(engine.states())}")


def check_engine_cancels(case: EngineCase) -> None:
    """A job that is cancelled ends, and is not told to have exited with 0."""
    with _started(case) as (engine, folder):
        job = _job(folder, "sleeper", SLEEPS)
        engine.submit([job])
        _until(engine, lambda states: states["sleeper"].phase != "waiting")
        engine.cancel(["sleeper"])
        state = _until(engine, lambda states: states["sleeper"].phase == "ended")["sleeper"]
        expect(state.code != 0, f"a cancelled job: {state}")
        engine.forget("sleeper")


def check_engine_keeps_the_time_limit(case: EngineCase) -> None:
    """A job whose time is over is ended; its status says timeout or interrupted, or its code a signal."""
    if case.offer.spec.detached:
        raise Skipped("queues count their time in minutes")
    with _started(case) as (engine, folder):
        state = _run(engine, [_job(folder, "late", SLEEPS, resources=Resources(time=1))])["late"]
        told = state.status in ("timeout", "interrupted") or (state.code or 0) < 0
        expect(told, f"a job whose time is over: {state}")
        engine.forget("late")


@contextmanager
def _started(case: EngineCase) -> Iterator[tuple[Engine, Path]]:
    spec = case.offer.spec
    if spec.available is not None and (lacking := str(resolve(spec.available)())):
        raise Skipped(lacking)
    params: Any = build(spec.params, spec.smoke, where=spec.name)
    with tempfile.TemporaryDirectory(prefix="gdbench-engine-") as place:
        folder = Path(place)
        engine: Engine = resolve(spec.start)(params, EngineSetup(folder / "engine", SILENT, 2))
        try:
            yield engine, folder
        finally:
            engine.cancel(list(engine.states()))
            engine.close()


def _job(folder: Path, name: str, code: str, *arguments: str, resources: Resources | None = None) -> Job:
    command = (sys.executable, "-c", code, *arguments)
    log, needs = folder / "logs" / f"{name}.log", resources or Resources()
    return Job(name, command, '{"out": "runs"}', log, folder / "runs" / name, resources=needs, mark=name)


def _run(engine: Engine, jobs: list[Job]) -> Mapping[str, JobState]:
    engine.submit(jobs)
    return _until(engine, lambda states: all(states[job.name].phase == "ended" for job in jobs))


def _until(engine: Engine, happened: Any) -> Mapping[str, JobState]:
    start = time.monotonic()
    while not happened(states := engine.states()):
        expect(time.monotonic() - start < PATIENCE, f"after {PATIENCE:.0f} s: {dict(states)}")
        time.sleep(engine.poll)
    return states
