"""Packing run folders into one tar with a manifest of hashes, and unpacking tars of strangers.

The tar is uncompressed and holds regular files alone, so that nothing in it can be larger than the tar itself, be a
link, or lie elsewhere. Its first entry names every other one with size and SHA-256. Unpacking believes nothing
before all of it was compared, in a folder that is thrown away where something is wrong.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gdbench.errors import IntegrityError, MissingFile, UsageError
from gdbench.files import atomic_write, sha256
from gdbench.runs.store import DONE, RECORD, RunFolder, cannot_write
from gdbench.runs.verifying import verify

MANIFEST, FORMAT = "manifest.json", 1
RUNS, MORE = "runs", "more"
"""Folders in a tar: run folders, and what goes with them."""
LONGEST = 240
"""Characters of a name in a tar."""
LARGEST_MANIFEST = 1 << 26
BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20
KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.DIRTYPE: "a folder",
}


@dataclass(frozen=True)
class Entry:
    """What a manifest says of a file."""

    size: int
    sha256: str


def files_of(folder: RunFolder) -> dict[str, Path]:
    """Name -> file of a finished run: record, ``done`` and what the record names. Raises IntegrityError for a fault."""
    found = verify(folder)
    if found.faults:
        raise IntegrityError(f"{found.faults[0]}; {len(found.faults)} faults in all: gdbench verify {folder.path}")
    record = folder.read()
    names = [RECORD, DONE, *(name for name in record.files if (folder.path / name).exists())]
    return {f"{RUNS}/{record.id}/{name}": folder.path / name for name in names}


def pack(files: Mapping[str, Path | bytes], target: Path) -> int:
    """Write files under these names into a tar at ``target``, atomically; returns how many. The same files make the
    same bytes."""
    manifest = {name: _entry(name, content) for name, content in sorted(files.items())}
    total = sum(entry.size for entry in manifest.values())
    named = {name: asdict(entry) for name, entry in manifest.items()}
    first = json.dumps({"format": FORMAT, "files": named}, indent=1).encode()
    with cannot_write(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free < total:
            raise OSError(errno.ENOSPC, f"the tar takes {total / 1e6:.0f} MB, and less is free")
        with atomic_write(target) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            _add(tar, MANIFEST, io.BytesIO(first), len(first))
            for name, content in sorted(files.items()):
                with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                    _add(tar, name, source, manifest[name].size)
    return len(files)


def _entry(name: str, content: Path | bytes) -> Entry:
    _check_name(name)
    if isinstance(content, bytes):
        return Entry(len(content), hashlib.sha256(content).hexdigest())
    return Entry(content.stat().st_size, sha256(content))


def _add(tar: tarfile.TarFile, name: str, source: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)  # of no owner and no time, so that equal files make an equal tar
    entry.size, entry.mode = size, 0o644
    try:
        tar.addfile(entry, source)
    except ValueError:
        raise UsageError(f"{name[:LONGEST]}: too long a name for a tar") from None


@contextmanager
def opened(archive: Path, beside: Path) -> Iterator[Path]:
    """A folder in ``beside`` with the checked content of a tar, gone after the block, and after whatever is raised.

    Raises MissingFile, UsageError for what is no file, and IntegrityError, which names the entry, for a tar that holds
    anything but what its manifest says, or runs with faults.
    """
    if not archive.exists():
        raise MissingFile(f"no such file: {str(archive)[:LONGEST]}")
    if not archive.is_file():
        raise UsageError(f"{archive}: not a file but a folder, a pipe or a device")
    made = not beside.exists()
    with cannot_write(beside):
        beside.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".unpack-", dir=beside))
    try:
        with cannot_write(beside):
            _extract(archive, place)
        _check_runs(archive, place)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if made and not any(beside.iterdir()):
            beside.rmdir()


def _extract(archive: Path, place: Path) -> None:
    seen: set[str] = set()
    try:
        with archive.open("rb") as stream:
            members = _members(stream, archive.stat().st_size)
            manifest = _manifest(stream, members)
            for name, size in members:
                if name in seen or name not in manifest:
                    what = "there twice" if name in seen else f"not named in {MANIFEST}"
                    raise IntegrityError(f"{name[:LONGEST]!r}: {what}")
                seen.add(name)
                _write(stream, size, place / name, manifest[name])
    except IntegrityError as error:
        raise IntegrityError(f"{archive.name}: {error}; nothing was unpacked") from None
    if missing := sorted(manifest.keys() - seen):
        raise IntegrityError(f"{archive.name}: {missing[0]!r} is missing; nothing was unpacked")


def _members(stream: IO[bytes], size: int) -> Iterator[tuple[str, int]]:
    """Name and size of each regular file of a tar, whose content ``stream`` then stands at.

    Only plain headers are read: what long names, sparse files and other extensions say is never obeyed.
    """
    while len(block := stream.read(BLOCK)) == BLOCK and block.strip(b"\0"):
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise IntegrityError("not an uncompressed tar, or a damaged one: it must come from gdbench pack") from None
        name, start = _printable(entry.name), stream.tell()
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise IntegrityError(
                f"{name!r} is {KINDS.get(entry.type, 'an extension')}: only regular files are unpacked"
            )
        _check_name(entry.name)
        if not 0 <= entry.size <= size - start:
            raise IntegrityError(f"{name!r} claims {entry.size:,} bytes, and the tar has {size:,}: cut off, or forged")
        yield entry.name, entry.size
        stream.seek(start + -(-entry.size // BLOCK) * BLOCK)


def _manifest(stream: IO[bytes], members: Iterator[tuple[str, int]]) -> dict[str, Entry]:
    name, size = next(members, ("", 0))
    if name != MANIFEST or size > LARGEST_MANIFEST:
        raise IntegrityError(f"its first entry is no {MANIFEST}: it must come from gdbench pack")
    try:
        data: Any = json.loads(stream.read(size))
        if data["format"] != FORMAT:
            raise IntegrityError(f"{MANIFEST}: format {str(data['format'])[:20]}, this gdbench reads {FORMAT}")
        return {name: Entry(int(one["size"]), str(one["sha256"])) for name, one in data["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise IntegrityError(f"{MANIFEST}: cannot be read") from None


def _write(stream: IO[bytes], size: int, path: Path, entry: Entry) -> None:
    if size != entry.size:
        raise IntegrityError(f"{path.name!r} has {size:,} bytes, {MANIFEST} says {entry.size:,}")
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("xb") as target:
        for done in range(0, size, CHUNK):
            data = stream.read(min(CHUNK, size - done))
            digest.update(data)
            target.write(data)
    if digest.hexdigest() != entry.sha256:
        raise IntegrityError(f"{path.name!r}: sha256 {digest.hexdigest()[:12]}..., {MANIFEST} says {entry.sha256[:12]}")


def _check_name(name: str) -> None:
    """Raise IntegrityError for a name that is not below ``runs`` or ``more``, in plain words."""
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and ":" not in name and str(path) == name
    inside = path.parts[:1] in ((RUNS,), (MORE,)) and len(path.parts) >= (3 if path.parts[0] == RUNS else 2)
    hidden = any(part.startswith(".") for part in path.parts)
    if name != MANIFEST and (not plain or not inside or hidden or len(name) > LONGEST):
        raise IntegrityError(f"refused the name {_printable(name)[:LONGEST]!r}: files lie in {RUNS}/ID/ or {MORE}/")


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)


def _check_runs(archive: Path, place: Path) -> None:
    for folder in sorted((place / RUNS).glob("*")):
        if faults := verify(RunFolder(folder)).faults:
            fault = faults[0]
            where = fault.file.relative_to(place)
            raise IntegrityError(f"{archive.name}: {where}: {fault.what}; nothing was unpacked")


def contents(folder: Path) -> dict[str, Path]:
    """Name -> regular file below a folder; links, and what begins with a dot, are passed over."""
    found = {}
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                found[path.relative_to(folder).as_posix()] = path
    return found
