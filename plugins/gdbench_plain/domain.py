"""The domain `plain` as gdbench's protocol has it: a fixed distance and features; no images, masks or factors.

Two images are as far apart as their pixels and their edges are, at several scales. With p the image averaged to at most
`LARGEST` px, then halved again and again, and d_x, d_y the differences of neighbouring pixels,

    D(a, b) = sum over scales and channels of the mean over places of
              (p_a - p_b)² + (d_x p_a - d_x p_b)² + (d_y p_a - d_y p_b)²

which is a squared Euclidean distance: zero to itself, symmetric, and four times as large for twice the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, pad

from gdbench import Factor, UsageError

LARGEST = 64  # pixels of the longer side; finer detail than that is not seen
SMALLEST = 4  # pixels of the shorter side of the coarsest scale
SCALES = 5  # at most
CHANNELS = 4  # at most; what an image does not have is zero
LENGTH = 8.0  # of the vector at each place: more than pixels and edges in [-1, 1] can have, sqrt(4 + 2 * 4 * 4)
POOLED = 8  # features are the image at this many places along each side


@dataclass(frozen=True, eq=False)
class PlainOracle:
    """Pixels and edges behind gdbench's `Oracle` protocol: it embeds, and reads nothing."""

    device: torch.device

    @property
    def channel_weights(self) -> Sequence[Tensor]:
        """One (13,) for each scale: 1 for pixels and edges, 0 for the channel that fills up the length."""
        return [torch.tensor([*[1.0] * (3 * CHANNELS), 0.0], device=self.device) * LENGTH**2] * SCALES

    @property
    def passed(self) -> Mapping[str, bool]:
        """No factor is read."""
        return {}

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """No factors."""
        return {}

    def embed(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Pixels and edges at each scale, (n, 13, h, w) of one length; and the image at 8 x 8 places, (n, 256).

        gdbench compares maps by their direction at each place; as all have the same length, that is a comparison of
        their values. Raises UsageError for images of more than 4 channels.
        """
        whole = _four_channels(images)
        scale = _within(whole)
        maps = [_filled_up(scale)]
        while len(maps) < SCALES and min(scale.shape[2:]) >= 2 * SMALLEST:
            scale = avg_pool2d(scale, 2)
            maps.append(_filled_up(scale))
        return maps, adaptive_avg_pool2d(whole, POOLED).flatten(1)

    def mask(self, images: Tensor) -> Tensor:
        """Zeros (n, h, w): this oracle knows of no object."""
        return images.new_zeros((len(images), *images.shape[2:]))


def _four_channels(images: Tensor) -> Tensor:
    channels = images.shape[1]
    if channels > CHANNELS:
        raise UsageError(f"the domain plain takes images of 1 to {CHANNELS} channels, these have {channels}")
    return pad(images, (0, 0, 0, 0, 0, CHANNELS - channels))


def _within(images: Tensor) -> Tensor:
    """The images, averaged where they are larger than `LARGEST` along a side; the shape stays, to a pixel."""
    height, width = images.shape[2:]
    shrink = max(height, width) / LARGEST
    if shrink <= 1:
        return images
    size = [max(1, round(side / shrink)) for side in (height, width)]
    return interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def _filled_up(scale: Tensor) -> Tensor:
    """Pixels, differences to the right and downwards (0 at the border), and what is lacking to `LENGTH`."""
    right = pad(scale.diff(dim=3), (0, 1))
    down = pad(scale.diff(dim=2), (0, 0, 0, 1))
    values = torch.cat([scale, right, down], 1)
    return torch.cat([values, (LENGTH**2 - values.square().sum(1, keepdim=True)).clamp_min(0).sqrt()], 1)


@dataclass(frozen=True, eq=False)
class Plain:
    """Images of no kind in particular."""

    device: torch.device
    name: str = "plain"
    distance: str = "pixels and edges"
    factors: tuple[Factor, ...] = ()

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """Raises UsageError: there are none."""
        raise UsageError("the domain plain has no images of its own")

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Raises UsageError: there are none."""
        raise UsageError("the domain plain has no masks")

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Raises UsageError: there is none."""
        raise UsageError("the domain plain has no factors")

    def oracle(self, which: Literal["a", "b"]) -> PlainOracle:
        """The same for both: it gives distance and features, and scores nothing."""
        return PlainOracle(self.device)


def load(device: torch.device) -> Plain:
    """The domain, for images on `device`."""
    return Plain(device)
