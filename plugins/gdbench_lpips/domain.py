"""The domain `natural` as gdbench's protocol has it: a distance and features; no images, masks or factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from gdbench import Factor, UsageError, fitted
from gdbench_lpips import BACKBONE, INCEPTION, backbone, inception

if TYPE_CHECKING:
    from lpips import LPIPS
    from torchvision.models import Inception3

SMALLEST = 31  # pixels: of smaller images AlexNet's last maps would be empty; they are enlarged


@dataclass(frozen=True, eq=False)
class PerceptualOracle:
    """LPIPS's network and Inception behind gdbench's `Oracle` protocol: they embed, and read nothing.

    channel_weights: the learned weights (c,) of each map's channels, with which the distance is LPIPS itself.
    """

    network: LPIPS
    inception: Inception3
    channel_weights: Sequence[Tensor]

    @property
    def passed(self) -> Mapping[str, bool]:
        """No factor is read."""
        return {}

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """No factors."""
        return {}

    def embed(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The five maps of AlexNet, and their means over places, (n, 64 + 192 + 384 + 256 + 256)."""
        if min(images.shape[2:]) < SMALLEST:
            images = fitted(images, (images.shape[1], *(max(side, SMALLEST) for side in images.shape[2:])))
        maps = backbone.layers(self.network, images)
        return maps, torch.cat([layer.mean((2, 3)) for layer in maps], 1)

    def features(self, images: Tensor) -> Tensor:
        """Inception's, (n, 2048)."""
        return inception.features(self.inception, images)

    def mask(self, images: Tensor) -> Tensor:
        """Zeros (n, h, w): this oracle knows of no object."""
        return images.new_zeros((len(images), *images.shape[2:]))


@dataclass(frozen=True, eq=False)
class Natural:
    """Photographs of no set in particular."""

    network: LPIPS
    inception: Inception3
    name: str = "natural"
    distance: str = "lpips-alex"
    factors: tuple[Factor, ...] = ()

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """Raises UsageError: there are none."""
        raise UsageError("the domain natural has no images of its own")

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Raises UsageError: there are none."""
        raise UsageError("the domain natural has no masks; saliency.data names a folder of images and masks")

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Raises UsageError: there is none."""
        raise UsageError("the domain natural has no factors")

    def oracle(self, which: Literal["a", "b"]) -> PerceptualOracle:
        """The same for both: it gives distance and features, and scores nothing."""
        return PerceptualOracle(self.network, self.inception, backbone.channel_weights(self.network))


def load(device: torch.device) -> Natural:
    """The domain on ``device``. Raises MissingFile or IntegrityError about the files of LPIPS and Inception."""
    return Natural(backbone.load(BACKBONE).to(device), inception.load(INCEPTION).to(device))
