"""What a segmenter is tested on: a domain's held-out images with exact masks, or a folder of images and masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from gdbench import Domain, MissingFile, Stream, UsageError

WHITE = 0.95  # mean RGB in [0, 1] from which on a pixel is white
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MASK_WORDS = ("mask", "gt", "truth", "annotation")


@dataclass(frozen=True)
class Group:
    """Images (n, c, h, w) in [-1, 1] at the segmenter's scale, and their truths (n, height, width), all of one size.

    white, empty (n,): the background is white already; there is no object. Neither is tested.
    """

    images: Tensor
    truths: NDArray[np.bool_]
    white: NDArray[np.bool_]
    empty: NDArray[np.bool_]

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Which images are tested (n,)."""
        return ~(self.white | self.empty)


@dataclass(frozen=True)
class Held:
    """``n`` images of a domain, the same for every method."""

    domain: Domain
    n: int

    def __iter__(self) -> Iterator[Group]:
        for part, start in enumerate(range(0, self.n, 1000)):
            images, masks = self.domain.pairs(min(1000, self.n - start), Stream(0, "saliency/test").at(part))
            truths = (masks > 0.5).cpu().numpy()
            white, empty = left_out(((images.mean(1) + 1) / 2).cpu().numpy(), truths)
            yield Group(images, truths, white, empty)


@dataclass(frozen=True)
class Files:
    """Files of image and mask, read for a segmenter of ``channels`` whose images are ``side`` pixels wide."""

    pairs: tuple[tuple[Path, Path], ...]
    channels: int
    side: int

    def __iter__(self) -> Iterator[Group]:
        for image_file, mask_file in self.pairs:
            pixels = _read(image_file, "RGB" if self.channels == 3 else "L")
            truth = (_read(mask_file, "L") > 128)[None, ..., 0]  # the cut of pysodmetrics
            shades = pixels.mean(2)[None] / 255
            size = truth.shape[1:]
            at_truth = _resized(torch.from_numpy(shades)[None], size)[0].numpy()
            images = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
            yield Group(_scaled(images, self.side), truth, *left_out(at_truth, truth))


TestSet = Held | Files


def left_out(shades: NDArray[np.floating], truths: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of n images: more than half of the background is white; there is no object. shades: mean RGB in [0, 1]."""
    ground = (~truths).sum((1, 2))
    plain = ((shades >= WHITE) & ~truths).sum((1, 2))
    return np.asarray(2 * plain > ground), np.asarray(~truths.any((1, 2)))


def predictions_at(predictions: Tensor, size: Sequence[int]) -> NDArray[np.float32]:
    """Predictions (n, h, w), resized bilinearly to the truth's size, in [0, 1]."""
    return np.asarray(_resized(predictions[:, None], size)[:, 0].clamp(0, 1).cpu().numpy())


def find_pairs(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Images and masks of equal stems below ``folder``, in the order of their stems.

    A mask lies in a folder whose name says so (ECSSD, DUTS, DUT-OMRON), or is the .png beside a .jpg of the same name.
    Raises MissingFile without folder or images, UsageError for what has no partner or two of them.
    """
    if not folder.is_dir():
        raise MissingFile(f"saliency data: no such folder: {folder}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    photos = {path.with_suffix("") for path in files if path.suffix.lower() in (".jpg", ".jpeg")}
    masks = [path for path in files if _is_mask(path, folder, photos)]
    known = set(masks)
    images, truths = _by_stem(path for path in files if path not in known), _by_stem(masks)
    if not images:
        raise MissingFile(f"saliency data: {folder} holds no images ({', '.join(SUFFIXES)})")
    alone = sorted({*images} ^ {*truths})
    if alone:
        names = ", ".join(str(images.get(stem) or truths[stem]) for stem in alone[:3])
        raise UsageError(f"saliency data: {len(alone)} files have no partner of the same stem: {names}")
    return tuple((images[stem], truths[stem]) for stem in sorted(images))


def check_readable(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Decode every file before anything is trained. Raises UsageError, naming what cannot be read (three at most)."""
    broken = []
    for path in (path for pair in pairs for path in pair):
        try:
            _read(path, "L")
        except UsageError as error:
            broken.append(str(error))
    if len(broken) > 1:
        raise UsageError(f"{len(broken)} files cannot be read; {'; '.join(broken[:3])}")
    if broken:
        raise UsageError(broken[0])


def _is_mask(path: Path, folder: Path, photos: set[Path]) -> bool:
    inside = [part.lower() for part in path.relative_to(folder).parts[:-1]]
    named = any(word in part for part in inside[-1:] for word in MASK_WORDS)
    return named or (path.suffix.lower() == ".png" and path.with_suffix("") in photos)


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UsageError(f"saliency data: two files of the same stem: {found[path.stem]}, {path}")
        found[path.stem] = path
    return found


def _read(path: Path, mode: str) -> NDArray[np.uint8]:
    """Pixels (h, w, channels). Raises UsageError, naming the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"saliency data: {path} cannot be read: {error}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _scaled(images: Tensor, side: int) -> Tensor:
    """Images whose shorter side is ``side``, as in the paper's evaluation."""
    height, width = images.shape[2:]
    factor = side / min(height, width)
    return _resized(images, (max(side, round(height * factor)), max(side, round(width * factor))), antialias=True)


def _resized(images: Tensor, size: Sequence[int], antialias: bool = False) -> Tensor:
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return interpolate(images, tuple(size), mode="bilinear", align_corners=False, antialias=antialias)
