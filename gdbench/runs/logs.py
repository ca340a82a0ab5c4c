"""Logs of jobs: what a process prints last is kept, so that no plugin fills a disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

LARGEST = 20_000_000
"""Bytes beyond which only the second half of a log's allowance is kept."""
CUT = b"(what was printed before is left out)\n"


def cut(log: Path) -> None:
    """Leave the end of a log that grew beyond ``LARGEST`` bytes; what is printed at this moment may be lost.

    The process that prints goes on, since it adds to whatever end the file has.
    """
    with suppress(OSError):
        if log.stat().st_size <= LARGEST:
            return
        with log.open("r+b") as file:
            file.seek(-LARGEST // 2, os.SEEK_END)
            end = file.read(LARGEST // 2)
            file.seek(0)
            file.write(CUT + (end.partition(b"\n")[2] or end))
            file.truncate()
