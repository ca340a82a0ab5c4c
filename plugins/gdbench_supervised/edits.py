"""Edits of an image that a walk in the latent space shall imitate (section 3 and appendix A of the paper).

An edit has a coefficient, which is also the length of the walk: log of the magnification, shift in halves of the image,
rotation in units of 45 degrees, brightness added to images in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from gdbench import integers, uniform

Draw = Callable[[np.random.Generator, int, int], Tensor]
"""(rng, n, side length in pixels) -> coefficients (n,) of a training step."""


@dataclass(frozen=True)
class Edit:
    """matrix: coefficients (n,) -> maps (n, 2, 3) from places in the edited image to places in the original, in halves
    of the image. colour: what a coefficient of one adds to each channel."""

    name: str
    draw: Draw
    matrix: Callable[[Tensor], Tensor]
    colour: tuple[float, ...]

    def apply(self, images: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The edited images (n, c, h, w), and a mask (n, 1, h, w) of the pixels that the original determines."""
        shape = list(images.shape)
        grid = affine_grid(self.matrix(coefficients), shape, align_corners=False)
        moved = grid_sample(images, grid, align_corners=False)
        margin = 1 - 1 / grid.new_tensor([images.shape[3], images.shape[2]])  # pixel centres end here
        inside = (grid.abs() <= margin + 1e-5).all(-1)[:, None]
        added = coefficients[:, None] * coefficients.new_tensor(self.colour)
        return moved + added[:, :, None, None], inside.to(images)


def edits(channels: int) -> tuple[Edit, ...]:
    """Zoom, shifts to the right and down, clockwise rotation, one edit per colour channel (of three), brightness."""
    none = (0.0,) * channels
    red_green_blue = [
        Edit(name, _level, _still, tuple(float(i == channel) for i in range(3)))
        for channel, name in enumerate(("red", "green", "blue"))
    ]
    return (
        Edit("zoom", _magnification, _zoom, none),
        Edit("shift x", _pixels, lambda shift: _shift(shift, torch.zeros_like(shift)), none),
        Edit("shift y", _pixels, lambda shift: _shift(torch.zeros_like(shift), shift), none),
        Edit("rotation", _degrees, _rotation, none),
        *(red_green_blue if channels == 3 else []),
        Edit("brightness", _level, _still, (1.0,) * channels),
    )


def _magnification(rng: np.random.Generator, n: int, side: int) -> Tensor:
    """log of U(1, 4) or of U(1/4, 1), whose inverse is the magnification."""
    shrink = integers(rng, 2, n).bool()
    extent = torch.where(shrink, uniform(rng, 1, 4, n), uniform(rng, 0.25, 1, n))
    return -extent.log()


def _pixels(rng: np.random.Generator, n: int, side: int) -> Tensor:
    """1 to side/2 - 1 pixels, either way."""
    return _signed(rng, 1 + integers(rng, side // 2 - 1, n)) / (side // 2)


def _degrees(rng: np.random.Generator, n: int, side: int) -> Tensor:
    """1 to 44 degrees, either way."""
    return _signed(rng, 1 + integers(rng, 44, n)) / 45


def _level(rng: np.random.Generator, n: int, side: int) -> Tensor:
    return uniform(rng, -0.5, 0.5, n)


def _signed(rng: np.random.Generator, sizes: Tensor) -> Tensor:
    return (sizes * (2 * integers(rng, 2, len(sizes)) - 1)).float()


def _still(coefficients: Tensor) -> Tensor:
    return _affine(torch.ones_like(coefficients), *[torch.zeros_like(coefficients)] * 3)


def _zoom(coefficients: Tensor) -> Tensor:
    return _affine((-coefficients).exp(), *[torch.zeros_like(coefficients)] * 3)


def _shift(right: Tensor, down: Tensor) -> Tensor:
    return _affine(torch.ones_like(right), torch.zeros_like(right), -right, -down)


def _rotation(coefficients: Tensor) -> Tensor:
    angle = coefficients * (math.pi / 4)
    return _affine(angle.cos(), angle.sin(), *[torch.zeros_like(coefficients)] * 2)


def _affine(cosine: Tensor, sine: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Rows (cosine, sine, right) and (-sine, cosine, down): (n, 2, 3)."""
    return torch.stack([torch.stack([cosine, sine, right], 1), torch.stack([-sine, cosine, down], 1)], 1)
