"""What a segmenter is tested on: a domain's held-out images with exact masks, or a folder of images and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from gdbench import Domain, Stream, UsageError
from gdbench_saliency.pixels import inverted, read_image, read_mask

WHITE = 0.95  # mean RGB in [0, 1] from which on a pixel is white
PROPORTION = 0.05  # by which image and mask may differ in it


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
            pixels = read_image(image_file, "RGB" if self.channels == 3 else "L")
            truth = read_mask(mask_file)[None]
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


def check_readable(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Decode every file before anything is trained.

    Raises UsageError, naming what cannot be read (three at most), an image whose mask has another shape, and masks that
    are white where the ground is.
    """
    broken, opposites = list[str](), 0
    for image, mask in pairs:
        sizes = list[tuple[int, ...]]()
        try:
            sizes.append(read_image(image, "L").shape)
        except UsageError as error:
            broken.append(str(error))
        try:
            truth = read_mask(mask)
        except UsageError as error:
            broken.append(str(error))
            continue
        opposites += inverted(truth)
        if sizes and not _alike(sizes[0], truth.shape):
            shown = " and ".join(f"{size[1]} x {size[0]}" for size in (sizes[0], truth.shape))
            broken.append(f"saliency data: {image} and its mask have the sizes {shown}: one of them is turned or cut")
    if len(broken) > 1:
        raise UsageError(f"{len(broken)} files cannot be read; {'; '.join(broken[:3])}")
    if broken:
        raise UsageError(broken[0])
    if opposites > len(pairs) / 2:
        raise UsageError(f"saliency data: the masks look inverted ({pairs[0][1].name}, ...): the object must be white")


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two sizes (height, width, ...) have the same proportions."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < PROPORTION


def _scaled(images: Tensor, side: int) -> Tensor:
    """Images whose shorter side is ``side``, as in the paper's evaluation."""
    height, width = images.shape[2:]
    factor = side / min(height, width)
    return _resized(images, (max(side, round(height * factor)), max(side, round(width * factor))), antialias=True)


def _resized(images: Tensor, size: Sequence[int], antialias: bool = False) -> Tensor:
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return interpolate(images, tuple(size), mode="bilinear", align_corners=False, antialias=antialias)
