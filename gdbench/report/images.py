"""Stored strips as data addresses, small enough for the page that shows them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from gdbench.errors import GdbenchError
from gdbench.evaluation import pictures

QUALITIES = (85, 60, 35)
LARGEST_ATLAS = 800_000
"""Bytes of an atlas that a page takes in as it is."""


class Verbatim(str):
    """Text that is clean already: of several lines, or longer than what a stranger may write."""


@dataclass(frozen=True)
class Shown:
    """An image in a page: its data address, and its size in pixels."""

    address: Verbatim
    width: int
    height: int


def strip(path: Path, row: int, most: int) -> Shown | None:
    """The first block of the strip of direction ``row``, in ``most`` bytes of address; None where that cannot be."""
    try:
        seen = path.stat()
        atlas, image = _opened(path, seen.st_mtime_ns, seen.st_size)
        left, upper, _, lower = atlas.box(row)
    except (GdbenchError, IndexError, OSError):
        return None
    image = image.crop((left, upper, left + atlas.steps * atlas.width, lower))
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=4)
        address = _address(buffer.getvalue())
        if len(address) <= most:
            return Shown(address, image.width, image.height)
    return None


@lru_cache(maxsize=64)
def _opened(path: Path, changed: int, size: int) -> tuple[pictures.Atlas, Image.Image]:
    """An atlas in pixels: a page shows many strips of one. changed, size: of the file, so that another one is read."""
    atlas = pictures.read_atlas(path)
    with Image.open(path) as image:
        return atlas, image.convert("RGB")


def atlas(path: Path) -> Verbatim:
    """A stored atlas as it is, as a data address; "" where it is too large or not there."""
    try:
        data = path.read_bytes()
    except OSError:
        return Verbatim()
    return _address(data) if len(data) <= LARGEST_ATLAS else Verbatim()


def _address(data: bytes) -> Verbatim:
    return Verbatim(f"data:image/webp;base64,{base64.b64encode(data).decode()}")
