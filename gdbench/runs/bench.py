"""Running many cells: each in a child process, so that a hung, crashed or noisy plugin costs only its own cell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from gdbench.context import Reporter
from gdbench.errors import GdbenchError
from gdbench.record import Status
from gdbench.runs.pipeline import blank
from gdbench.runs.planning import Plan
from gdbench.runs.process import terminable
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder, open_run

INTERRUPTED = (130, 143)
"""Exit codes of a child that was asked to stop and recorded that."""


@dataclass(frozen=True)
class Outcome:
    """How the process of a cell ended. reason: "" where it exited with 0."""

    plan: Plan
    status: Status
    reason: str
    seconds: float


@dataclass(frozen=True)
class Bench:
    """How cells are run: ``jobs`` at a time, ``timeout`` seconds of wall-clock each, with these plugin files."""

    jobs: int = 1
    timeout: float | None = None
    plugins: Sequence[Path] = ()
    grace: float = 10.0
    _children: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def run(self, plans: Sequence[Plan], reporter: Reporter) -> Iterator[Outcome]:
        """Run every plan in a child process; outcomes come as they finish.

        Ctrl-C and SIGTERM end the children, which record their interruption and can resume.
        """
        pool = ThreadPoolExecutor(self.jobs)
        try:
            futures = [pool.submit(self._cell, plan) for plan in plans]
            with terminable(), reporter.task("cells", len(futures)) as task:
                for future in as_completed(futures):
                    task.advance()
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(self._children):
                _end(child, self.grace)

    def _cell(self, plan: Plan) -> Outcome:
        start = time.perf_counter()
        log = plan.request.out / "logs" / f"{plan.id}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        status, reason = self._child(plan.request, log)
        if status in ("failed", "timeout") and not _recorded(plan):
            with open_run(plan.request.out, plan.id, wait=self.grace) as folder:
                folder.write(replace(blank(plan), status=status, reason=reason))
        return Outcome(plan, status, f"{reason}; see {log}" if reason else "", time.perf_counter() - start)

    def _child(self, request: RunRequest, log: Path) -> tuple[Status, str]:
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "gdbench.runs.worker", *map(str, self.plugins)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._children.add(child)
            try:
                child.communicate(request.to_json().encode(), self.timeout)
            except subprocess.TimeoutExpired:
                _end(child, self.grace)
                return "timeout", f"not finished after {self.timeout:.0f} s"
            finally:
                self._children.discard(child)
        if child.returncode in INTERRUPTED:
            return "interrupted", "the same command resumes it"
        return ("done", "") if child.returncode == 0 else ("failed", _reason(child.returncode))


def _recorded(plan: Plan) -> bool:
    """Whether the child left a record: of its own failure, or a finished one, which a failed metric does not spoil."""
    try:
        return RunFolder(plan.request.out / plan.id).read().status in ("done", "failed", "timeout")
    except GdbenchError:
        return False


def _reason(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed by signal 9, probably for lack of memory"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    """Ask the child's whole process group to stop; after ``grace`` seconds, make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        try:
            child.wait(grace)
            return
        except subprocess.TimeoutExpired:
            continue


def read_request(text: str) -> RunRequest:
    """The request that a parent process wrote. Raises GdbenchError where it is none."""
    try:
        return RunRequest.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise GdbenchError(f"not a run request: {error}") from None
