"""Reads the idx files of MNIST, plain or gzipped: a magic number, big-endian sizes, then one byte a value.

Magic: two zero bytes, the type (8: unsigned byte), the number of dimensions (LeCun's page on MNIST).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gdbench import IntegrityError

IMAGES, LABELS = 0x0803, 0x0801
KINDS = {IMAGES: "images", LABELS: "labels"}
SIDE = 28
CLASSES = 10

Bytes = NDArray[np.uint8]


def read_pair(images: Path, labels: Path) -> tuple[Bytes, Bytes]:
    """Images (n, 28, 28) and their labels (n,) in 0..9, uint8.

    Raises IntegrityError where a file is not what it should be, or where the two do not belong together.
    """
    pictures, digits = read_images(images), read_labels(labels)
    if len(pictures) != len(digits):
        raise IntegrityError(f"{images} has {len(pictures)} images, but {labels} has {len(digits)} labels")
    return pictures, digits


def read_images(path: Path) -> Bytes:
    """Images (n, 28, 28), uint8: 0 is background, 255 is ink. Raises IntegrityError."""
    pictures = _read(path, IMAGES)
    if pictures.shape[1:] != (SIDE, SIDE):
        size = "x".join(map(str, pictures.shape[1:]))
        raise IntegrityError(f"{path} holds images of {size} pixels, expected {SIDE}x{SIDE}")
    return pictures


def read_labels(path: Path) -> Bytes:
    """Labels (n,) in 0..9, uint8. Raises IntegrityError."""
    digits = _read(path, LABELS)
    if len(digits) and digits.max() >= CLASSES:
        raise IntegrityError(f"{path} holds the label {digits.max()}, expected 0 to {CLASSES - 1}")
    return digits


def _read(path: Path, magic: int) -> Bytes:
    """The values of an idx file of the kind `magic`, in its shape."""
    content = _content(path)
    if len(content) < 4:
        raise IntegrityError(f"{path} is no idx file: it has {len(content)} bytes")
    (found,) = struct.unpack_from(">I", content)
    if found != magic:
        what = f"an idx file of {KINDS[found]}" if found in KINDS else "no idx file of MNIST"
        raise IntegrityError(f"{path} is {what} (magic number {found:#010x}), expected {KINDS[magic]} ({magic:#010x})")
    start = 4 + 4 * (magic & 0xFF)
    if len(content) < start:
        raise IntegrityError(f"{path} ends within its header")
    shape = struct.unpack_from(f">{magic & 0xFF}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=start)
    wanted = int(np.prod(shape, dtype=object))
    if len(values) != wanted:
        fault = "is truncated" if len(values) < wanted else "is too long"
        raise IntegrityError(f"{path} {fault}: {len(values)} bytes of values, its header promises {wanted}")
    return values.reshape(shape)


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise IntegrityError(f"{path} is no whole gzip file: {error}") from None
