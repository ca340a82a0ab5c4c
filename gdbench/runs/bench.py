"""Running many cells: each in a child process, so that a hung, crashed or noisy plugin costs only its own cell.

The store is the only truth: a cell succeeded when a record of this execution says so, whatever its process returned.
Several benches may share one folder: each takes the cells that nobody holds, and waits for the others at the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gdbench.context import Reporter
from gdbench.errors import Busy, GdbenchError, IntegrityError
from gdbench.record import Status
from gdbench.runs.pipeline import begun, is_complete
from gdbench.runs.planning import Plan
from gdbench.runs.process import STOPPING, terminable
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder, open_run, writable

WORKER = (sys.executable, "-m", "gdbench.runs.worker")
INTERRUPTED = {code for number in STOPPING for code in (128 + number, -number)}
"""Exit codes of a child that was asked to stop."""
RESUMES = "the same command resumes it"

ATTEMPTS = 2
"""How often a child may say that its cell is held, while it is not, until that counts as a failure of the child."""

Stamp = tuple[int, int] | None


@dataclass(frozen=True)
class Outcome:
    """How a cell ended; "busy" where another process holds it. reason: "" where there is nothing to say."""

    plan: Plan
    status: Status | Literal["busy"]
    reason: str
    seconds: float


@dataclass(frozen=True)
class _Ending:
    """How the child process of a cell ended, whatever it recorded; ``status`` None where it exited with 0."""

    status: Status | Literal["busy"] | None
    reason: str = ""


@dataclass(frozen=True)
class Bench:
    """How cells are run: ``jobs`` at a time, ``timeout`` seconds of wall-clock each, with these plugin files.

    grace: seconds that a child has to end when it is asked to. patience: seconds between two looks at cells that other
    processes hold. worker: the command that runs the cell of the request on its standard input.
    """

    jobs: int = 1
    timeout: float | None = None
    plugins: Sequence[Path] = ()
    grace: float = 10.0
    patience: float = 2.0
    worker: Sequence[str] = WORKER
    _children: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def run(self, plans: Sequence[Plan], reporter: Reporter) -> Iterator[Outcome]:
        """Run every plan in a child process; outcomes come as they finish, none of them is busy.

        Ctrl-C and SIGTERM end the children, which record their interruption and can resume.
        Raises GdbenchError where the folder of the runs cannot be written.
        """
        for folder in {plan.request.out for plan in plans}:
            writable(folder / "logs")
        stamps = {plan.id: _folder(plan).stamp for plan in plans}
        waiting, said = list(plans), list[Plan]()
        with terminable(), reporter.task("cells", len(plans)) as task:
            while waiting:
                held = []
                for outcome in self._round(waiting, stamps):
                    if outcome.status == "busy":
                        held.append(outcome.plan)
                        continue
                    task.advance()
                    yield outcome
                if held and held != said:
                    reporter.log(f"waiting for other processes that hold {', '.join(plan.id for plan in held)}")
                if held:
                    time.sleep(self.patience)
                waiting = said = held

    def _round(self, plans: Sequence[Plan], stamps: Mapping[str, Stamp]) -> Iterator[Outcome]:
        """Try each plan once."""
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for future in as_completed([pool.submit(self._cell, plan, stamps[plan.id]) for plan in plans]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(self._children):
                _end(child, self.grace)

    def _cell(self, plan: Plan, before: Stamp) -> Outcome:
        start = time.perf_counter()
        folder = _folder(plan)
        if folder.held:
            return Outcome(plan, "busy", "", 0.0)
        if folder.stamp not in (None, before) and (outcome := _recorded_elsewhere(plan, folder)):
            return outcome
        log = plan.request.out / "logs" / f"{plan.id}.log"
        for attempt in range(ATTEMPTS):
            before, ending = folder.stamp, self._child(plan.request, log)
            if ending.status == "busy" and attempt == ATTEMPTS - 1:
                ending = _Ending("failed", _reason(Busy.exit_code))
            try:
                with open_run(plan.request.out, plan.id, wait=self.grace) as held:
                    status, reason = _settled(plan, held, ending, before)
            except Busy as error:
                status, reason = "busy", str(error)
                break
            if status != "busy":
                break
        return Outcome(plan, status, f"{reason}; see {log}" if reason else "", time.perf_counter() - start)

    def _child(self, request: RunRequest, log: Path) -> _Ending:
        with log.open("ab") as output:  # a second process that only learns that the cell is held must not empty it
            child = subprocess.Popen(
                [*self.worker, *map(str, self.plugins)],
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
                return _Ending("timeout", f"not finished after {self.timeout:.0f} s")
            finally:
                self._children.discard(child)
                with suppress(ProcessLookupError, PermissionError):  # processes of its own, which would keep the lock
                    os.killpg(child.pid, signal.SIGKILL)
        return _ending(child.returncode, log)


def _folder(plan: Plan) -> RunFolder:
    return RunFolder(plan.request.out / plan.id)


def _recorded_elsewhere(plan: Plan, folder: RunFolder) -> Outcome | None:
    """What another process recorded of this cell since the bench began; None where that is not all that is wanted."""
    try:
        record = folder.read(verify=True)
    except IntegrityError:
        return None
    if record.status in ("timeout", "failed", "incompatible") or is_complete(plan):
        return Outcome(plan, record.status, record.reason and f"{record.reason} (in another process)", 0.0)
    return None


def _settled(plan: Plan, folder: RunFolder, ending: _Ending, before: Stamp) -> tuple[Status | Literal["busy"], str]:
    """Status and reason of an execution that is over; it is recorded here where the child could not. Hold the folder.

    Only a record that was written since ``before`` is one of this execution.
    """
    if folder.stamp not in (None, before):
        record = folder.read()
        if ending.status == "timeout" and record.status == "interrupted":  # by this bench, whose limit is the reason
            record = folder.write(replace(record, status="timeout", reason=ending.reason))
        if ending.status in (None, "busy", "interrupted") or record.status != "done":
            return record.status, record.reason
        return ending.status, ending.reason  # a metric failed on a finished run, which keeps what it had
    if ending.status == "busy" or ending.status == "interrupted":
        return ending.status, ending.reason
    status, reason = ending.status or "failed", ending.reason or "exited without a result"
    finished = folder.recovered()
    folder.write(finished or replace(begun(folder, plan), status=status, reason=reason))
    return status, reason


def _ending(code: int, log: Path) -> _Ending:
    if code == 0:
        return _Ending(None)
    if code == Busy.exit_code:
        return _Ending("busy")
    if code in INTERRUPTED:
        return _Ending("interrupted", RESUMES)
    return _Ending("failed", (code > 0 and _last_word(log)) or _reason(code))


def _last_word(log: Path) -> str:
    """The error with which a child ended, where it could say it in one line."""
    last = log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
    return last.removeprefix("gdbench: ") if last.startswith("gdbench: ") else ""


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
