"""Run folders: one folder per run, written by this module alone; the manifest and ``done`` come last.

A folder is believed only when ``done`` is there and every file named in the record has its hash.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from gdbench.errors import Busy, GdbenchError, IntegrityError
from gdbench.files import sha256, write_text
from gdbench.record import RunRecord

RECORD, DONE, LOCK, RESUME = "record.json", "done", ".lock", "resume.pt"
_TRANSIENT = {RECORD, DONE, LOCK, RESUME}


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def done(self) -> bool:
        """Whether the run was recorded to the end."""
        return (self.path / DONE).exists()

    @property
    def resume(self) -> Path:
        """Where an unfinished discovery keeps its state."""
        return self.path / RESUME

    def read(self, verify: bool = False) -> RunRecord:
        """The record; with ``verify``, after checking the hash of every file it names.

        Raises IntegrityError naming the file and what is wrong with it.
        """
        path = self.path / RECORD
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise IntegrityError(f"{self.path}: no {RECORD}: no run folder, or its run never finished") from None
        except (OSError, UnicodeDecodeError) as error:
            raise IntegrityError(f"{path}: cannot be read ({error})") from None
        record = RunRecord.from_json(text, where=str(path))
        if verify:
            self._verify(record)
        return record

    def _verify(self, record: RunRecord) -> None:
        for name, expected in record.files.items():
            file = self.path / name
            if not file.exists():
                continue  # large artefacts are not checked in beside a committed record
            if (found := sha256(file)) != expected:
                raise IntegrityError(f"{file}: sha256 {found[:12]}..., the record says {expected[:12]}...")

    def write(self, record: RunRecord) -> RunRecord:
        """Record the run: hashes of all files, ``record.json``, then ``done``. Returns the record with its files."""
        self.reopen()
        self._sweep()
        record = replace(record, files={name: sha256(self.path / name) for name in self._files()})
        write_text(self.path / RECORD, record.to_json())
        write_text(self.path / DONE, f"{sha256(self.path / RECORD)}\n")
        return record

    def reopen(self) -> None:
        """Disown the record while files change; ``write`` makes the folder believable again."""
        (self.path / DONE).unlink(missing_ok=True)

    def forget_evaluation(self) -> None:
        """Remove calibration, tables and pictures, which another version of the evaluation made; directions stay."""
        self.reopen()
        for file in self.path.glob("calibration.*"):
            file.unlink()
        for folder in ("tables", "pictures"):
            shutil.rmtree(self.path / folder, ignore_errors=True)

    def clear(self) -> None:
        """Forget an earlier execution: every file but the lock."""
        for file in self.path.rglob("*"):
            if file.is_file() and file.name not in (LOCK, ".holder"):
                file.unlink()

    def _files(self) -> list[str]:
        files = (file for file in self.path.rglob("*") if file.is_file())
        names = (file.relative_to(self.path).as_posix() for file in files)
        return sorted(name for name in names if name not in _TRANSIENT and not name.startswith("."))

    def _sweep(self) -> None:
        """Remove what killed writers left, and open files to the group as the umask says (safetensors writes 0600)."""
        umask = os.umask(0)
        os.umask(umask)
        for file in self.path.rglob("*"):
            if file.name.startswith((".tmp", ".")) and file.name.endswith(".part"):
                file.unlink(missing_ok=True)
            elif file.is_file():
                file.chmod(0o666 & ~umask)


@contextmanager
def open_run(out: Path, run_id: str, wait: float = 0.0) -> Iterator[RunFolder]:
    """The folder of a run, made and held: a second process waits ``wait`` seconds, then learns who holds it.

    Raises Busy (who holds it) and GdbenchError (folder cannot be written).
    """
    path = out / run_id
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".probe"
        probe.write_text("x")
        probe.unlink()
    except OSError as error:
        raise GdbenchError(f"{path}: cannot write here ({error.strerror}); choose another folder with --out") from None
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        holder = _holder(path / ".holder")
        raise Busy(f"{path}: held by {holder}; wait for it, or choose another --out") from None
    try:
        (path / ".holder").write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield RunFolder(path)
    finally:
        (path / ".holder").unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return "another process"


def find_runs(folder: Path) -> list[RunFolder]:
    """All folders below ``folder`` (itself too) that hold a record, in order of name."""
    return [RunFolder(file.parent) for file in sorted(folder.rglob(RECORD))]


def read_records(folders: Iterable[RunFolder]) -> tuple[list[RunRecord], list[str]]:
    """The records that can be believed, and one line for each that cannot."""
    records, problems = [], []
    for folder in folders:
        try:
            if not folder.done:
                raise IntegrityError(f"{folder.path}: not finished, or interrupted while it was recorded")
            records.append(folder.read(verify=True))
        except GdbenchError as error:
            problems.append(str(error))
    return records, problems
