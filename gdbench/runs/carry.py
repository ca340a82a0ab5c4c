"""Run folders that travel: a cell on a machine that does not see this disk gets its folder as bytes."""

from __future__ import annotations

import io
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gdbench.engines import Job
from gdbench.runs.logs import cut

GRACE = 10.0
"""Seconds that a child has to end when it is asked to."""
LOOK = 1.0
"""Seconds between two looks at how much a child has printed."""


@dataclass(frozen=True)
class Carried:
    """What a job gave elsewhere: exit code as ``subprocess`` tells it, its output, the run's folder as bytes.

    late: it was ended since its time was over.
    """

    code: int
    log: bytes
    folder: bytes
    late: bool = False


def packed(folder: Path) -> bytes:
    """The files of a folder as bytes of a tar; empty bytes where there is no folder."""
    if not folder.is_dir():
        return b""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.endswith(".part"):
                tar.add(file, file.relative_to(folder), recursive=False)
    return data.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Make ``folder`` hold what was packed, and nothing else. Raises tarfile.TarError for names that lead elsewhere."""
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    fresh.mkdir(parents=True)
    try:
        if data:
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                tar.extractall(fresh, filter="data")
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def carried(job: Job, files: Mapping[str, bytes], folder: bytes, environment: Mapping[str, str]) -> Carried:
    """Run a job on this machine in a folder of its own that is removed at the end.

    files: content of ``job.files`` by path. folder: what the run's folder holds so far. environment: added to this one.
    """
    with tempfile.TemporaryDirectory(prefix="gdbench-") as place:
        out = Path(place) / "out"
        if folder:
            unpack(folder, out / job.name)
        out.mkdir(exist_ok=True)
        here = {path: str(Path(place) / Path(path).name) for path in files}
        for path, content in files.items():
            Path(here[path]).write_bytes(content)
        command = [here.get(word, word) for word in _words(job)]
        said = Path(place) / "log"
        with (Path(place) / "input").open("w+") as source, said.open("ab") as log:
            source.write(job.input_at(out))
            source.seek(0)
            child = subprocess.Popen(
                command,
                stdin=source,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
            )
            try:
                late = _ended(child, said, job.resources.seconds)
            except BaseException:  # somebody cancels the job
                _ended(child, said, 0)
                raise
        return Carried(child.returncode, said.read_bytes(), packed(out / job.name), late)


def _words(job: Job) -> list[str]:
    """The command of a job, with the Python of this machine where that of the sender is not here."""
    first, *rest = job.command
    leash = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []  # ends with who started it
    return [*leash, first if Path(first).exists() else sys.executable, *rest]


def _ended(child: subprocess.Popen[bytes], said: Path, limit: float | None) -> bool:
    """Wait for a child and its children to end; after ``limit`` seconds make them. Whether that was needed.

    said: what it prints; only the end of much is kept.
    """
    until = math.inf if limit is None else time.monotonic() + limit
    while child.poll() is None and (left := until - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            child.wait(min(left, LOOK))
        cut(said)
    late = child.poll() is None
    if late:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    cut(said)
    return late
