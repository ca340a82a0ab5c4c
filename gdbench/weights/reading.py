"""Weights on disk: reading files from strangers without running them.

The kind of a file is judged by its first bytes, never by its name. Nothing here can be switched to an unsafe reader.
"""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from gdbench.errors import GdbenchError, IntegrityError, MissingFile, UsageError
from gdbench.weights.companions import companions
from gdbench.weights.contents import check_claims, numbers_as_tensors
from gdbench.weights.source import Source
from gdbench.weights.unpickle import load_pickle

TORCH_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # 0x1950a86a20f9469cfc6c as a pickled long
HEAD = 600
LINE = 300
LONG_NAME = 120
TEXT = 450
REMEDY = "its maker can save tensors alone: torch.save(model.state_dict(), FILE)"
CUT = ("truncated", "Incomplete", "exhausted", "remain", "Ran out of input")  # how parsers say that bytes are missing


def load_weights(path: Path) -> Any:
    """The content of a weights file that nobody vouches for; no code of it is run and no option changes that.

    torch files (zip or legacy) give what was saved, safetensors a dict of tensors, NVIDIA pickles dicts, tuples, numpy
    arrays and ``Record`` values. Raises MissingFile, or IntegrityError in one line: which global was refused, what is
    damaged, what the file is instead, or which tensor is none that its bytes can hold.
    """
    return path.content(_load) if isinstance(path, Source) else _load(Path(path))


def _load(path: Path) -> Any:
    name = shortened(path.name)
    try:
        reader = _reader(path)
        content = reader(path)
        check_claims(content, path.stat().st_size)
        return content
    except GdbenchError as error:
        raise type(error)(f"{name}: {str(error)[:TEXT]}") from None
    except OSError as error:
        raise MissingFile(f"{name}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # damaged bytes make the parsers raise almost anything
        raise IntegrityError(f"{name}: {_reason(error)}") from None


def shortened(text: str) -> str:
    """A name that fits a line, whatever it was."""
    return text if len(text) <= LONG_NAME else f"{text[: LONG_NAME - 10]}...{text[-7:]}"


def foreign(head: bytes) -> str | None:
    """What a file certainly is instead of weights, judged by its first bytes; None if nothing speaks against it."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    if start.startswith(b"<") and head[8:9] != b"{":  # no format starts so but safetensors of that header length
        return "got an HTML page, not weights: open its address in a browser and download the file by hand"
    if start.startswith(b"{") and head[8:9] != b"{":
        return "got a JSON text, not weights"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    if head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"\xfd7zXZ")):
        return "a packed archive: unpack it and give the file inside"
    return None


def is_weights(path: Path) -> bool:
    """Whether a path is a file that begins as weights do; of what follows nothing is read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    begins = head.startswith((b"PK\x03\x04", b"\x80")) or head[8:9] == b"{" or TORCH_MAGIC in head[:24]
    return begins and foreign(head) is None


def _reader(path: Path) -> Callable[[Path], Any]:
    if path.is_dir():
        raise UsageError("a folder, where a weights file was expected")
    if not path.exists():
        raise MissingFile(f"no such file: {shortened(str(path))}")
    if not path.is_file():
        raise UsageError("a pipe or a device, where a weights file was expected")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if what := foreign(head):
        raise IntegrityError(what)
    if head.startswith(b"PK\x03\x04"):
        return _load_zip
    if head[8:9] == b"{":
        return _load_safetensors
    return _load_torch if TORCH_MAGIC in head[:24] else _load_nvidia


def _load_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if not any(name.count("/") == 1 and name.endswith("/data.pkl") for name in archive.namelist()):
            raise IntegrityError("a zip archive, but not one of torch.save: unpack it and give the file inside")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise IntegrityError("a zip archive with compressed entries, which torch.save never writes")
        if sum(entry.compress_size for entry in archive.infolist()) > path.stat().st_size:
            raise IntegrityError("a zip archive whose entries share bytes, which torch.save never writes")
        if damaged := archive.testzip():  # torch itself does not compare checksums
            raise IntegrityError(f"damaged: the checksum of {damaged} is wrong")
    return _load_torch(path)


def _load_torch(path: Path) -> Any:
    harmless = torch.serialization.safe_globals(companions())
    with harmless, path.open("rb") as file:  # given a name, torch would judge by its suffix
        return numbers_as_tensors(torch.load(file, map_location="cpu", weights_only=True))


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _load_nvidia(path: Path) -> Any:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return load_pickle(cast(IO[bytes], view))  # a map never allocates more than the file has, whatever it claims


def _reason(error: Exception) -> str:
    """One line on why a parser gave up."""
    text = str(error)
    if refused := re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", text):
        return f"refused pickle: it asks for {shortened(refused[1])}, which no known checkpoint needs; {REMEDY}"
    if isinstance(error, EOFError | zipfile.BadZipFile) or any(word in text for word in CUT):
        return "truncated or damaged"
    return f"no readable weights ({type(error).__name__}: {' '.join(text.split())[:LINE]})"
