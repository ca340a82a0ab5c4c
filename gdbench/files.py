"""Writing files: one function, all or nothing. Reading small ones, and hashes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gdbench.errors import IntegrityError


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces ``path`` only when the block ends well: part file beside it, fsync, rename.

    A full disk, a raised error or a kill leaves the old file as it was.
    """
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")  # numbers of processes mean nothing elsewhere
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` (UTF-8), atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises OSError, also for a pipe, which might never end,
    and for a file that is larger."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "a folder, a pipe or a device, not a file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes")
    return data


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """What a parser raises about the content of a file becomes an IntegrityError, one line that names it.

    That the file is not there stays a FileNotFoundError.
    """
    try:
        if path.exists() and not path.is_file():
            raise IntegrityError(f"{path}: a folder, a pipe or a device, not a file")
        yield
    except (IntegrityError, FileNotFoundError):
        raise
    except Exception as error:  # of whatever library
        reason = " ".join(str(error).split())[:200]
        raise IntegrityError(f"{path}: cannot be read ({type(error).__name__}: {reason})") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a regular file, in hex. Raises OSError, also for a pipe or a device, which might never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "a folder, a pipe or a device, not a file", str(path))
    import hashlib  # a library of ciphers, which a list does not need

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
