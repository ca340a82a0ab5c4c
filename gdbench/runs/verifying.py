"""Verifying run folders: every hash that is written down compared with what is there, one line for each fault."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gdbench.errors import IntegrityError
from gdbench.files import read_bytes, sha256
from gdbench.record import DISCOVERY, RunRecord, digits
from gdbench.runs.store import DONE, LARGEST, RECORD, RESUME, RunFolder

MARKS = (RECORD, DONE, "discovery.json", "directions.json", "calibration.json")
"""Names that tell a run folder from others, also one that lost some of them."""
AGAIN = ("pictures/", "strips.webp", "traceback")
"""What names of files begin with that may be absent: committed records leave out pictures, which are drawn again."""
REMEDY = "get the folder again, or run its command with --fresh"


@dataclass(frozen=True)
class Fault:
    """A file, what is wrong with it, and what would be right."""

    file: Path
    what: str
    right: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; {self.right}"


@dataclass(frozen=True)
class Verified:
    """What was looked at in one run folder. files: how many were compared. absent: how many pictures are not here.

    weights: family, checkpoint and hash of the weights that the record names; None where nothing can be read.
    """

    folder: Path
    files: int = 0
    absent: int = 0
    faults: tuple[Fault, ...] = ()
    weights: tuple[str, str, str] | None = None


def run_folders(root: Path) -> list[RunFolder]:
    """All folders below ``root`` (itself too) that are runs, or were before they lost files; in order of name."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if set(MARKS) & set(files):
            found.append(Path(folder))
    return [RunFolder(path) for path in sorted(found)]


def verify(folder: RunFolder) -> Verified:
    """Compare the record with ``done``, the id with what it is made of, and every file with the record."""
    faults = [*_of_record(folder.path)]
    try:
        record = folder.read()
    except IntegrityError as error:
        if not faults:
            faults = [Fault(folder.path / RECORD, str(error).partition(": ")[2], REMEDY)]
        return Verified(folder.path, faults=tuple(faults))
    faults += _of_name(folder.path, record)
    absent = [name for name in record.files if not (folder.path / name).exists()]
    faults += _of_files(folder.path, record.files.items())
    faults += _unrecorded(folder.path, record)
    drawn = sum(name.startswith(AGAIN) for name in absent)
    weights = record.cell.generator, record.cell.checkpoint, record.checkpoint_sha256
    return Verified(folder.path, 2 + len(record.files) - len(absent), drawn, tuple(faults), weights)


def _of_record(path: Path) -> Iterator[Fault]:
    """Whether ``done`` says the hash of the record, in the bytes in which it is written."""
    for name in (RECORD, DONE):
        if not (path / name).exists():
            why = "the run never finished, or the file was lost" if name == DONE else "without it nothing is known"
            yield Fault(path / name, f"missing: {why}", REMEDY)
    if not all((path / name).exists() for name in (RECORD, DONE)):
        return
    try:
        said, found = read_bytes(path / DONE, LARGEST).decode(errors="replace"), sha256(path / RECORD)
    except OSError as error:
        yield Fault(path / DONE, f"cannot be read ({error.strerror})", REMEDY)
        return
    if said.strip() != found:
        yield Fault(path / RECORD, f"sha256 {found[:12]}..., {DONE} says {said.strip()[:12]!r}", _either(path))
    elif said != f"{found}\n":
        yield Fault(path / DONE, "more than the hash of the record and a line end", REMEDY)


def _either(path: Path) -> str:
    return f"{path / RECORD} or {path / DONE} was changed after the run was recorded: {REMEDY}"


def _of_name(path: Path, record: RunRecord) -> Iterator[Fault]:
    """Whether the folder has the name of the run, and the run that of its cell, versions and weights."""
    if path.absolute().name != record.id:
        yield Fault(path, f"holds the run {record.id[:120]}", "a folder has the name of its run: rename it")
    if record.versions.get("discovery") == DISCOVERY and record.id.rpartition("-")[2] not in _digits(record):
        yield Fault(
            path / RECORD,
            f"the id {record.id[:120]} is not that of its cell, versions and weights",
            f"the record was written by hand: {REMEDY}",
        )


def _digits(record: RunRecord) -> set[str]:
    """What an id may end with: the domain counts where the method looks at it, which no record says."""
    kinds = ["discovery", "generator", "method"]
    decisive = ({kind: record.versions.get(kind) for kind in [*kinds, *more]} for more in ([], ["domain"]))
    return {digits(record.cell, versions, record.checkpoint_sha256) for versions in decisive}


def _of_files(path: Path, files: Iterable[tuple[str, str]]) -> Iterator[Fault]:
    for name, said in files:
        file = path / name
        try:
            found = sha256(file)
        except FileNotFoundError:
            if not name.startswith(AGAIN):
                yield Fault(file, "missing", f"the record names it with sha256 {str(said)[:12]}...: {REMEDY}")
            continue
        except OSError as error:
            yield Fault(file, f"cannot be read ({error.strerror})", REMEDY)
            continue
        if found != said:
            yield Fault(file, f"sha256 {found[:12]}...", f"the record says {str(said)[:12]}...: {REMEDY}")


def _unrecorded(path: Path, record: RunRecord) -> Iterator[Fault]:
    """Files that no hash vouches for; names that begin with a dot are the store's own."""
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            name = (Path(folder) / file).relative_to(path).as_posix()
            if not file.startswith(".") and name not in record.files and name not in (RECORD, DONE, RESUME):
                yield Fault(path / name, "the record does not name it", "remove it, or record the run again")
