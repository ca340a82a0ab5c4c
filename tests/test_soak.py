"""A small soak: kill -9 of benches and workers, a full disk and a clock that jumps change no byte of a leaderboard."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of its own is mounted, which needs root")
def test_a_small_soak_loses_nothing() -> None:
    """In a process of its own: plugins that tests loaded must not be part of it. Changed code would be refused."""
    command = [sys.executable, str(ROOT / "tests" / "soak.py"), "--cells", "12", "--kills", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"^([\w -]+): (\S+)$", done.stdout, re.MULTILINE))
    assert (counts["kills"], counts["losses"], counts["cells"]) == ("5", "0", "12")


def test_the_committed_soak_had_every_fault_and_lost_nothing() -> None:
    counts = dict(re.findall(r"^([\w -]+): (\S+)$", (ROOT / "results" / "soak.txt").read_text(), re.MULTILINE))
    assert int(counts["kills"]) >= 50
    assert (counts["cells"], counts["full disks"], counts["clock jumps"]) == ("300", "1", "1")
    assert (counts["losses"], counts["leaderboard byte-equal to an undisturbed one"]) == ("0", "yes")
