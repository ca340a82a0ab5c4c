"""Run folders: one folder per run, written by this module alone; the manifest and ``done`` come last.

Who works on a run is told by a claim beside its folder (``runs.claims``).

A folder is believed only when ``done`` is there, the record has the hash that ``done`` states, and every file that the
record names and that is here has the hash that the record states.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gdbench.errors import Busy, GdbenchError, IntegrityError
from gdbench.files import read_bytes, sha256, write_text
from gdbench.record import RunRecord
from gdbench.runs.claims import Claim

Stamp = tuple[int, int] | None

RECORD, DONE, RESUME = "record.json", "done", "resume.pt"
_TRANSIENT = {RECORD, DONE, RESUME}  # names that begin with a dot are never recorded
STRIPS = "strips.webp"  # small pictures of all directions
DRAWN = ("pictures/directions.png", STRIPS)  # made of the record, again and again
TABLES = "tables.parquet"
LARGEST = 1 << 26  # bytes of a record
LEAST_SPACE = 4_000_000
"""Bytes that must be free before a run begins: what a small one keeps and writes beside it."""
LEAST_WAIT, LOOK = 1.0, 0.1
"""Seconds for which everybody waits, since others hold a run for a moment to see how it ended; and between looks."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. claim: that of this process, None where it only reads."""

    path: Path
    claim: Claim | None = None

    @property
    def done(self) -> bool:
        """Whether the run was recorded to the end."""
        return (self.path / DONE).exists()

    @property
    def stamp(self) -> Stamp:
        """What tells one ``done`` from the next: another one means that somebody recorded the run since."""
        try:
            found = (self.path / DONE).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    @property
    def held(self) -> bool:
        """Whether a process works on this run now."""
        return Claim(self.path.absolute()).holder() is not None

    @property
    def resume(self) -> Path:
        """Where an unfinished discovery keeps its state."""
        return self.path / RESUME

    def read(self, verify: bool = False) -> RunRecord:
        """The record; with ``verify``, after checking its own hash and that of every file it names.

        Raises IntegrityError naming the file and what is wrong with it.
        """
        path = self.path / RECORD
        try:
            text = read_bytes(path, LARGEST).decode()
        except FileNotFoundError:
            raise IntegrityError(f"{self.path}: no {RECORD}: no run folder, or its run never finished") from None
        except (OSError, UnicodeDecodeError) as error:
            raise IntegrityError(f"{path}: cannot be read ({error})") from None
        if verify:
            self._verify_record()
        record = RunRecord.from_json(text, where=str(path))
        if verify and (changed := self._changed(record)):
            name, found = next(iter(changed.items()))
            said = record.files[name][:12]
            raise IntegrityError(f"{self.path / name}: sha256 {found[:12]}..., the record says {said}...")
        return record

    def _verify_record(self) -> None:
        """Compare the record with the hash in ``done``, where that is there."""
        if not self.done:
            return
        said = read_bytes(self.path / DONE, LARGEST).decode(errors="replace").strip()
        found = sha256(self.path / RECORD)
        if found != said:
            raise IntegrityError(
                f"{self.path / RECORD}: sha256 {found[:12]}..., {DONE} says {said[:12]!r}: one of them was changed "
                "after the run was recorded; get the folder again, or run its command with --fresh"
            )

    def _changed(self, record: RunRecord) -> dict[str, str]:
        """Name -> hash of the files that are not as recorded; large ones may not be checked in beside a record."""
        here = {name: self.path / name for name in record.files}
        try:
            hashes = {name: sha256(file) for name, file in here.items() if file.exists()}
        except OSError as error:
            raise IntegrityError(f"{error.filename or self.path}: cannot be read ({error.strerror})") from None
        return {name: found for name, found in hashes.items() if found != record.files[name]}

    def recovered(self) -> RunRecord | None:
        """What a process that was killed while it measured a finished run left of it, None where there is nothing.

        The record of the finished run stands until ``write`` replaces it, but files may have changed since. A metric
        whose table or picture is no longer the recorded one is left out, so that it is measured again; so are all of
        them where the file of their tables is another one.
        """
        try:
            record = self.read(verify=self.done)
        except IntegrityError:
            return None
        if record.status != "done":
            return None
        changed = self._changed(record)
        names = [name for name in record.metric_params if any(_belongs(file, name) for file in changed)]
        if any(not any(_belongs(file, name) for name in names) for file in changed if file not in DRAWN):
            return None
        return record.without(names)

    def write(self, record: RunRecord) -> RunRecord:
        """Record the run: hashes of all files, ``record.json``, then ``done``. Returns the record with its files.

        The hashes of files that are not here (not checked out beside a committed record) stay as they are.
        Raises Busy where another process took the claim over: what that one records stands.
        """
        if self.claim is not None and self.claim.lost():
            raise Busy(f"{self.path}: taken over by {self.claim.holder() or 'another process'}, whose record stands")
        with cannot_write(self.path):
            return self._written(record)

    def _written(self, record: RunRecord) -> RunRecord:
        self.reopen()
        self._sweep()
        absent = {name: digest for name, digest in record.files.items() if not (self.path / name).exists()}
        found = {name: sha256(self.path / name) for name in self._files()}
        record = replace(record, files=dict(sorted({**absent, **found}.items())))
        write_text(self.path / RECORD, record.to_json())
        self._open_to_group()
        write_text(self.path / DONE, f"{sha256(self.path / RECORD)}\n")
        return record

    def reopen(self) -> None:
        """Disown the record while files change; ``write`` makes the folder believable again."""
        (self.path / DONE).unlink(missing_ok=True)

    def forget_evaluation(self) -> None:
        """Remove calibration, tables and pictures, which another version of the evaluation made; directions stay."""
        self.reopen()
        for pattern in ("calibration.*", "tables.*", "strips.*"):
            for file in self.path.glob(pattern):
                file.unlink()
        for folder in ("tables", "pictures"):
            shutil.rmtree(self.path / folder, ignore_errors=True)

    def clear(self) -> None:
        """Forget an earlier execution: every file."""
        for file in self.path.rglob("*"):
            if file.is_file():
                file.unlink()

    def _files(self) -> list[str]:
        files = (file for file in self.path.rglob("*") if file.is_file())
        names = (file.relative_to(self.path).as_posix() for file in files)
        return sorted(name for name in names if name not in _TRANSIENT and not name.startswith("."))

    def _sweep(self) -> None:
        """Remove what killed writers left."""
        for file in self.path.rglob(".*.part"):
            file.unlink(missing_ok=True)

    def _open_to_group(self) -> None:
        """Give every file the permissions of the record, which are those of the umask: safetensors writes 0600.

        The umask itself cannot be read without setting it for all threads for a moment.
        """
        mode = (self.path / RECORD).stat().st_mode & 0o666
        for name in self._files():
            (self.path / name).chmod(mode)


def _belongs(file: str, metric: str) -> bool:
    """Whether a file of a run folder is what ``metric`` drew or tabulated."""
    own = (TABLES, f"tables/{metric}.parquet", f"traceback-{metric}.txt")
    return file in own or file.startswith(f"pictures/{metric}-")


@contextmanager
def open_run(out: Path, run_id: str, wait: float = 0.0) -> Iterator[RunFolder]:
    """The folder of a run, made and held: a second process waits ``wait`` seconds, then learns who holds it.

    Its path is absolute, so that a plugin which changes the working directory moves nothing. A folder in which nothing
    was written goes with the claim.
    Raises Busy (who holds it) and GdbenchError (folder cannot be written).
    """
    path = (out / run_id).absolute()
    with cannot_write(path):
        path.mkdir(parents=True, exist_ok=True)
        claim = _claimed(path, wait)
        path.mkdir(exist_ok=True)  # who held it before may have left nothing
    try:
        with claim.beating():
            yield RunFolder(path, claim)
    finally:
        with suppress(OSError):  # it is not empty
            path.rmdir()
        claim.release()


def _claimed(path: Path, wait: float) -> Claim:
    """The claim of this process on the run in ``path``. Raises Busy after ``wait`` seconds."""
    until = time.monotonic() + max(wait, LEAST_WAIT)
    while True:
        try:
            return Claim(path).take()
        except Busy as error:
            if time.monotonic() >= until:
                raise Busy(f"{path}: held by {error}; wait for it, or choose another --out") from None
        time.sleep(LOOK)


def enough_space(folder: Path) -> None:
    """Raise GdbenchError where the disk of ``folder`` has no room for a run."""
    if (free := shutil.disk_usage(folder).free) < LEAST_SPACE:
        least = LEAST_SPACE / 1e6
        raise GdbenchError(
            f"{folder}: {free / 1e6:.1f} MB are free on this disk, a run needs {least:.0f} MB at least: make room, or "
            "choose another folder with --out"
        )


def nearly_full(folder: Path) -> str:
    """What is to be added to an error where it may come of a full disk, which libraries tell in many ways; else ""."""
    free = shutil.disk_usage(folder).free
    return f"; {free / 1e6:.1f} MB are free on the disk of the run" if free < LEAST_SPACE else ""


@contextmanager
def cannot_write(folder: Path) -> Iterator[None]:
    """Say in one line, as a GdbenchError, that ``folder`` cannot be written and what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno == errno.ENOSPC:
            reason += f", {shutil.disk_usage(folder.parent).free / 1e6:.1f} MB are free"
        raise GdbenchError(f"{folder}: cannot write here ({reason}); choose another folder with --out") from None


def writable(folder: Path) -> Path:
    """``folder``, made if it is not there. Raises GdbenchError, one line, where it cannot be written."""
    with cannot_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    return folder


def find_runs(folder: Path) -> list[RunFolder]:
    """All folders below ``folder`` (itself too) that hold a record, in order of name; not what is hidden there, such as
    runs that are being unpacked."""
    found = sorted(folder.rglob(RECORD))
    return [RunFolder(file.parent) for file in found if not _hidden(file.relative_to(folder))]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


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
