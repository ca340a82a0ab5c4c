"""How the end of a cell's process is told: by its engine, its exit code, or the last line that it wrote."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gdbench.engines import JobState
from gdbench.runs.settling import ending

RESUMES = "the same command resumes it"
ENDINGS = [  # what the engine says, the end of the log -> status and reason
    (JobState("ended", 0), "", None, ""),
    (JobState("ended", 4), "gdbench: held by another process", "busy", ""),
    (JobState("ended", 3), "loading\ngdbench: lpips is not here\n", "failed", "lpips is not here"),
    (JobState("ended", 1), "gdbench: too early\nTraceback: a library's own words", "failed", "exit code 1"),
    (JobState("ended", 1), "", "failed", "exit code 1"),
    (JobState("ended", None), "", "failed", "ended, nobody knows how"),
    (JobState("ended", None, "its node went"), "", "failed", "its node went (ended, nobody knows how)"),
    (JobState("ended", -signal.SIGSEGV), "gdbench: not its last word", "failed", "killed by signal 11"),
    (JobState("ended", -signal.SIGKILL), "", "failed", "killed by signal 9, probably for lack of memory"),
    (JobState("ended", 128 + signal.SIGKILL), "", "failed", "killed by signal 9, probably for lack of memory"),
    (JobState("ended", -signal.SIGTERM), "", "interrupted", RESUMES),
    (JobState("ended", 130), "", "interrupted", RESUMES),
    (JobState("ended", 1, status="interrupted"), "", "interrupted", RESUMES),
    (JobState("ended", 1, status="timeout"), "", "timeout", "not finished after 60 s"),
    (JobState("ended", 1, "its queue took it", "timeout"), "", "timeout", "its queue took it"),
]


@pytest.mark.parametrize(("state", "said", "status", "reason"), ENDINGS)
def test_what_an_end_means(state: JobState, said: str, status: str | None, reason: str, tmp_path: Path) -> None:
    log = tmp_path / "cell.log"
    log.write_text(said)
    found = ending(state, log, (1, 2), 60.0)
    assert (found.status, found.reason, found.before) == (status, reason, (1, 2))


def test_a_log_that_is_gone_leaves_the_exit_code(tmp_path: Path) -> None:
    assert ending(JobState("ended", 2), tmp_path / "gone.log", None, None).reason == "exit code 2"
