"""How a cell ended: what its process left, or the record that is written of a process which left none."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gdbench.engines import JobState
from gdbench.errors import Busy, IntegrityError
from gdbench.files import write_text
from gdbench.record import Status
from gdbench.runs.carry import unpack
from gdbench.runs.pipeline import begun
from gdbench.runs.planning import Plan
from gdbench.runs.process import STOPPING
from gdbench.runs.recorded import is_complete
from gdbench.runs.store import RunFolder, Stamp, open_run

INTERRUPTED = {code for number in STOPPING for code in (128 + number, -number)}
"""Exit codes of a child that was asked to stop."""
RESUMES = "the same command resumes it"
LAST_LINES = 8_000
"""Bytes of a job's output that are kept beside the record of a job which left none."""


@dataclass(frozen=True)
class Outcome:
    """How a cell ended; "busy" where another process holds it. reason: "" where there is nothing to say."""

    plan: Plan
    status: Status | Literal["busy"]
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Ending:
    """How the process of a cell ended, whatever it recorded; ``status`` None where it exited with 0.

    before: the stamp of the run's folder when the process was asked for. folder: the run's folder as bytes, where the
    process worked in another place.
    """

    status: Status | Literal["busy"] | None
    reason: str = ""
    before: Stamp = None
    folder: bytes | None = None


def ending(state: JobState, log: Path, before: Stamp, limit: float | None) -> Ending:
    """What the end of a job means. ``limit``: the seconds that it had."""
    status, reason = _meaning(state, log, limit)
    return Ending(status, reason, before, state.folder)


def _meaning(state: JobState, log: Path, limit: float | None) -> tuple[Status | Literal["busy"] | None, str]:
    if state.status == "timeout":
        return "timeout", state.reason or f"not finished after {limit or 0:.0f} s"
    if state.code == 0:
        return None, ""
    if state.code == Busy.exit_code:
        return "busy", ""
    if state.status == "interrupted" or state.code in INTERRUPTED:
        return "interrupted", RESUMES
    said = _last_word(log) if (state.code or 0) > 0 else ""
    told = code_in_words(state.code)
    return "failed", said or (f"{state.reason} ({told})" if state.reason else told)


def settled(plan: Plan, folder: RunFolder, ended: Ending, log: Path) -> tuple[Status | Literal["busy"], str]:
    """Status and reason of an execution that is over; it is recorded here where the process could not. Hold the folder.

    Only a record that was written since the process was asked for is one of this execution.
    """
    if ended.folder and folder.stamp == ended.before:
        unpack(ended.folder, folder.path)
    if folder.stamp not in (None, ended.before):
        record = folder.read()
        if ended.status == "timeout" and record.status == "interrupted":  # by the engine, whose limit is the reason
            record = folder.write(replace(record, status="timeout", reason=ended.reason))
        if ended.status in (None, "busy", "interrupted") or record.status != "done":
            return record.status, record.reason
        return ended.status, ended.reason  # a metric failed on a finished run, which keeps what it had
    if ended.status == "busy" or ended.status == "interrupted":
        return ended.status, ended.reason
    status, reason = ended.status or "failed", ended.reason or "exited without a result"
    finished = folder.recovered()
    if finished is None:
        _keep_output(folder, log)
    folder.write(finished or replace(begun(folder, plan), status=status, reason=reason))
    return status, reason


def _keep_output(folder: RunFolder, log: Path) -> None:
    """The end of what the process said, beside the record of its failure."""
    try:
        said = log.read_bytes()[-LAST_LINES:].decode(errors="replace")
    except OSError:
        return
    write_text(folder.path / "traceback.txt", said)


def settle(plan: Plan, ended: Ending, log: Path, wait: float = 0.0) -> Outcome:
    """Hold the run of a process that ended, and say or record how; busy where another process holds it."""
    try:
        with open_run(plan.request.out, plan.id, wait=wait) as folder:
            return Outcome(plan, *settled(plan, folder, ended, log))
    except Busy as error:
        return Outcome(plan, "busy", str(error))


def recorded_elsewhere(plan: Plan, before: Stamp) -> Outcome | None:
    """What another process recorded of a cell since ``before``; None where that is not all that is wanted."""
    folder = RunFolder(plan.request.out / plan.id)
    if folder.stamp in (None, before):
        return None
    try:
        record = folder.read(verify=True)
    except IntegrityError:
        return None
    if record.status in ("timeout", "failed", "incompatible") or is_complete(plan):
        return Outcome(plan, record.status, record.reason and f"{record.reason} (in another process)")
    return None


def _last_word(log: Path) -> str:
    """The error with which a child ended, where it could say it in one line."""
    try:
        last = log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
    except OSError:
        return ""
    return last.removeprefix("gdbench: ") if last.startswith("gdbench: ") else ""


def code_in_words(code: int | None) -> str:
    """An exit code for people."""
    if code is None:
        return "ended, nobody knows how"
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "killed by signal 9, probably for lack of memory"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
