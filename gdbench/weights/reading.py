"""Weights on disk: reading files from strangers without running them.

The kind of a file is judged by its first bytes, never by its name. Nothing here can be switched to an unsafe reader.
"""

from __future__ import annotations

import argparse
import mmap
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from gdbench.errors import GdbenchError, IntegrityError, MissingFile, UsageError
from gdbench.weights.unpickle import load_pickle

TORCH_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # 0x1950a86a20f9469cfc6c as a pickled long
HEAD = 600
LINE = 300
CUT = ("truncated", "Incomplete", "exhausted", "remain", "Ran out of input")  # how parsers say that bytes are missing


class InertConfig:
    """Stands for pytorch_GAN_zoo's config object: attributes, no behaviour."""


def load_weights(path: Path) -> Any:
    """The content of a weights file that nobody vouches for; no code of it is run and no option changes that.

    torch files (zip or legacy) give what was saved, safetensors a dict of tensors, NVIDIA pickles dicts, tuples, numpy
    arrays and ``Record`` values. Raises MissingFile, or IntegrityError in one line: which global was refused, what is
    damaged, or what the file is instead.
    """
    path = Path(path)
    reader = _reader(path)
    try:
        return reader(path)
    except GdbenchError as error:
        raise type(error)(f"{path.name}: {error}") from None
    except Exception as error:  # damaged bytes make the parsers raise almost anything
        raise IntegrityError(f"{path.name}: {_reason(error)}") from None


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


def _reader(path: Path) -> Callable[[Path], Any]:
    if path.is_dir():
        raise UsageError(f"{path.name} is a folder: a weights file was expected")
    if not path.is_file():
        raise MissingFile(f"no such file: {path}")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if what := foreign(head):
        raise IntegrityError(f"{path.name}: {what}")
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
        if damaged := archive.testzip():  # torch itself does not compare checksums
            raise IntegrityError(f"damaged: the checksum of {damaged} is wrong")
    return _load_torch(path)


def _load_torch(path: Path) -> Any:
    inert = torch.serialization.safe_globals([argparse.Namespace, (InertConfig, "models.utils.config.BaseConfig")])
    with inert, path.open("rb") as file:  # given a name, torch would judge by its suffix
        return torch.load(file, map_location="cpu", weights_only=True)


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
        return f"refused pickle: it asks for {refused[1]}, which no known checkpoint needs"
    if isinstance(error, EOFError | zipfile.BadZipFile) or any(word in text for word in CUT):
        return "truncated or damaged"
    return f"no readable weights ({type(error).__name__}: {' '.join(text.split())[:LINE]})"
