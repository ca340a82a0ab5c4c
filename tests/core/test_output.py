"""Streams that cannot be written: what is shown is lost, what is computed is not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gdbench.console import complain
from gdbench.output import Outlet, lost
from gdbench.progress import LiveReporter, PlainReporter, reporter

GDBENCH = (sys.executable, "-m", "gdbench")
RUN = (*GDBENCH, "run", "--gan", "toy", "--method", "random", "--k", "4", "--tier", "smoke", "--metrics", "cost")
FULL = "cannot write the output: No space left on device"


class Broken(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = {"RUN": " ".join(RUN), "GDBENCH": " ".join(GDBENCH)}
    for name, value in words.items():
        command = command.replace(name, value)
    return subprocess.run(["bash", "-c", command], cwd=cwd, capture_output=True, text=True, check=False)


def statuses(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in folder.rglob("record.json")]


@pytest.mark.parametrize("stream", [Broken(), None, "closed"])
def test_no_fault_of_a_stream_is_raised_and_the_first_is_kept(stream: Any) -> None:
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    to = Outlet(stream)
    for _ in range(2):
        assert to.write("text") == 4
        to.flush()
    assert isinstance(to.fault, OSError)
    assert not to.isatty()


@pytest.mark.parametrize("live", [True, False])
def test_progress_that_cannot_be_shown_ends_nothing(live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Broken()
    stream.isatty = lambda: live  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    shown = reporter()
    assert isinstance(shown, LiveReporter if live else PlainReporter)
    shown.log("a line")
    with shown.task("work", 3) as task:
        for _ in range(3):
            task.advance(loss=1.0)
    complain("a fault")


def test_a_reader_that_had_enough_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    to = Outlet(io.StringIO())
    monkeypatch.setattr(sys, "stdout", to)
    to.fault = BrokenPipeError(32, "Broken pipe")
    assert lost() == ""
    to.fault = OSError(28, "No space left on device")
    assert lost() == FULL


@pytest.mark.parametrize("command", ["list methods", "list --json", "--help", "info toy"])
def test_a_full_disk_is_told_in_one_line(command: str, tmp_path: Path) -> None:
    result = shell(f"GDBENCH {command} > /dev/full", tmp_path)
    assert (result.returncode, result.stderr) == (1, f"gdbench: {FULL}\n")


def test_a_run_whose_output_is_lost_is_complete(tmp_path: Path) -> None:
    result = shell("RUN > /dev/full", tmp_path)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, f"gdbench: {FULL}")
    assert statuses(tmp_path) == ["done"]


@pytest.mark.parametrize("end", ["2> /dev/full", "2>&-", "2>&1 | head -c 1; exit ${PIPESTATUS[0]}"])
def test_a_run_goes_on_without_its_log(end: str, tmp_path: Path) -> None:
    result = shell(f"RUN {end}", tmp_path)
    assert result.returncode == 0
    assert statuses(tmp_path) == ["done"]


def test_a_file_never_becomes_standard_error(tmp_path: Path) -> None:
    """With file 2 closed, the next file that is opened gets its number, and warnings would be written into it."""
    code = (
        "import os; from gdbench.output import guarded\nwith guarded(): f = open('new', 'w'); os.write(2, b'warning')"
    )
    shell(f'{sys.executable} -c "{code}" 2>&-', tmp_path)
    assert (tmp_path / "new").read_text() == ""
    assert os.listdir(tmp_path) == ["new"]
