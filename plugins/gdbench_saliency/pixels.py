"""Pixels of image and mask files, whatever they are encoded in; what cannot be read for certain is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gdbench import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

FULL = {"uint8": 255, "uint16": 65535}
HALF = 128 / 255  # the cut of pysodmetrics, as a share of full brightness
CLASSES = 32  # values at most, of a mask that holds numbers of classes and not brightness
FLAT = 8  # levels between which an alpha channel says nothing

Pixels = NDArray[np.uint8]
Truth = NDArray[np.bool_]


def read_image(path: Path, mode: str) -> Pixels:
    """Pixels (h, w, channels) in the position that its EXIF tag asks for; mode ``RGB`` or ``L``.

    Sixteen bits become eight by their upper half. Raises UsageError, naming the file.
    """
    with _opened(path) as image:
        grey = _deep_grey(image)
        pixels = np.asarray(image.convert(mode)) if grey is None else _eight_bits(grey)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.repeat(pixels, 3, 2) if mode == "RGB" and pixels.shape[2] == 1 else pixels


def read_mask(path: Path) -> Truth:
    """Where the object is (h, w): bright grey, a colour on black, a class number above 0, or an opaque alpha.

    Raises UsageError, naming the file and what about it is uncertain.
    """
    with _opened(path) as image:
        try:
            return _object(image)
        except _Uncertain as why:
            raise UsageError(f"saliency data: the mask {path} cannot be read for certain: {why}") from None


def inverted(mask: Truth) -> bool:
    """Whether a mask looks like its opposite: white on most of its border and most of its area."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(border.mean() > 0.9 and mask.mean() > 0.5 and not mask.all())


class _Uncertain(Exception):
    """What about a mask is uncertain."""


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """A decoded image, turned as its EXIF tag says. What Pillow raises becomes a UsageError that names the file."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.load()
            yield ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UsageError(f"saliency data: {path} cannot be read: {error}") from None


def _deep_grey(image: Image) -> NDArray[Any] | None:
    """Grey of more than eight bits as it is stored, which Pillow's own conversion would cut off at 255."""
    return np.asarray(image) if image.mode in ("I", "F") or image.mode.startswith("I;16") else None


def _eight_bits(grey: NDArray[Any]) -> Pixels:
    top = grey.max(initial=0)
    scale = 1 / 255 if top <= 1 and grey.dtype.kind == "f" else 1 if top <= 255 else 257
    return np.clip(grey / scale, 0, 255).round().astype(np.uint8)


def _object(image: Image) -> Truth:
    if (grey := _deep_grey(image)) is not None:
        full = (
            1 if grey.dtype.kind == "f" and grey.max(initial=0) <= 1 else 255 if grey.max(initial=0) <= 255 else 65535
        )
        return _bright(grey, full)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _of_alpha(np.asarray(image.convert("RGBA")))
    if image.mode in ("1", "L"):
        return _bright(np.asarray(image.convert("L")), 255)
    return _of_colours(np.asarray(image.convert("RGB")))


def _of_alpha(pixels: Pixels) -> Truth:
    """The alpha channel where it says something; colours that say something else make the mask uncertain."""
    colours, alpha = pixels[..., :3], pixels[..., 3]
    if int(alpha.max()) - int(alpha.min()) < FLAT:
        if alpha.max() < HALF * 255:
            raise _Uncertain("it is transparent everywhere")
        return _of_colours(colours)
    opaque: Truth = alpha > HALF * 255
    visible = colours[opaque]
    binary = len(np.unique(visible.reshape(-1, 3), axis=0)) == 2
    if binary and not (np.array_equal(colours.max(2) > HALF * 255, opaque)):
        raise _Uncertain("its alpha channel and its colours say different things")
    return opaque


def _of_colours(pixels: Pixels) -> Truth:
    """Grey by brightness; else whatever is not the black ground, of a mask in few colours."""
    if int(np.ptp(pixels.astype(np.int16), axis=2).max(initial=0)) < FLAT:
        return _bright(pixels[..., 0], 255)
    colours = np.unique(pixels.reshape(-1, 3), axis=0)
    if len(colours) > CLASSES:
        raise _Uncertain(f"it has {len(colours)} colours: save it as grey, the object white")
    if colours[0].any():
        raise _Uncertain("it has colours and no black ground: save it as grey, the object white")
    return np.asarray(pixels.any(2))


def _bright(grey: NDArray[Any], full: int) -> Truth:
    """Brighter than half; of two values the brighter; class numbers above 0."""
    values = np.unique(grey)
    bright: Truth = grey > HALF * full
    low = (grey > 0) & ~bright
    if len(values) == 2 and (bright.all() or not bright.any()):
        return np.asarray(grey == values[1])
    if len(values) > 2 and len(values) <= CLASSES and values[0] == 0 and grey.dtype.kind != "f":
        if not bright.any():
            return np.asarray(grey > 0)
        if low.mean() > bright.mean():
            raise _Uncertain(f"it has the {len(values)} values {_few(values)}: numbers of classes, or shades?")
    if len(values) > 1 and not bright.any():
        raise _Uncertain(f"its brightest value is {values[-1]} of {full}: scale it so that the object is white")
    return bright


def _few(values: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:6])
    return f"{shown}, ..." if len(values) > 6 else shown
