"""Freed memory is kept: counted in pages that the kernel has to clear, in processes of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from gdbench.runs.heap import keep_freed_memory
kept = {keep} and keep_freed_memory()
torch.set_num_threads(1)
work = lambda: torch.ones(2**24).sum()  # 64 MB
for _ in range(4):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(24):
    work()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(keep: bool, **environment: str) -> tuple[int, int]:
    """Whether memory was kept, and the pages that 24 tensors of 64 MB cost."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name != "GLIBC_TUNABLES" and not name.startswith(("MALLOC_", "THP_"))
    }
    command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    out = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True).stdout
    kept, faults = map(int, out.split())
    return kept, faults


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc here: its heap is left as it is")
def test_kept_memory_is_not_cleared_again() -> None:
    kept, few = _faults(True)
    _, many = _faults(False)
    assert kept == 1
    assert few < many / 4  # seldom a small piece lies where a tensor was, and that tensor goes to a new place


def test_options_of_the_user_stand() -> None:
    assert _faults(True, MALLOC_ARENA_MAX="2")[0] == 0
