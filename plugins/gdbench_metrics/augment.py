"""Augmentation: what cannot be seen does not survive it (PROTOCOL, `reconstruction`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from gdbench import integers, normal, uniform
from gdbench_metrics.jpeg import jpeg


@dataclass(frozen=True)
class Strengths:
    """Upper ends of the uniform laws from which each image's strength is drawn.

    crop: pixels at 32 px, scaled with the resolution, as is blur (standard deviation). noise: standard deviation on the
    scale [-1, 1]. quality: range of the JPEG quality.
    """

    crop: float = 2.0
    blur: float = 0.5
    noise: float = 0.04
    quality: tuple[int, int] = (50, 75)


STRENGTHS = Strengths()


@torch.no_grad()
def augment(first: Tensor, second: Tensor, rng: np.random.Generator, strengths: Strengths = STRENGTHS) -> Tensor:
    """Pairs (n, 2c, h, w) of augmented images (n, c, h, w) in [-1, 1]: crop, blur, noise, JPEG, in this order.

    The crop is the same for both images of a pair, so that position stays comparable; everything else is drawn for each
    image. Draws come from ``rng`` on the CPU.
    """
    n = len(first)
    scale = min(first.shape[2:]) / 32
    both = torch.cat([first, second]).clamp(-1, 1)
    both = crop(both, *_offsets(rng, n, round(strengths.crop * scale)))
    both = blur(both, uniform(rng, 0.0, strengths.blur * scale, 2 * n), radius=int(np.ceil(2 * strengths.blur * scale)))
    noise = normal(rng, *both.shape) * uniform(rng, 0.0, strengths.noise, 2 * n, 1, 1, 1)
    low, high = strengths.quality
    quality = low + integers(rng, high - low + 1, 2 * n)
    both = jpeg(both + noise.to(both.device), quality)
    return torch.cat([both[:n], both[n:]], 1)


def _offsets(rng: np.random.Generator, n: int, reach: int) -> tuple[Tensor, Tensor]:
    """Vertical and horizontal offsets of both images of n pairs: two (2n,)."""
    down, right = integers(rng, 2 * reach + 1, 2, n) - reach
    return down.repeat(2), right.repeat(2)


def crop(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Windows of the images' own size, ``down`` and ``right`` (n,) pixels off; beyond the border its mirror image."""
    n, _, height, width = images.shape
    rows = _mirrored(torch.arange(height) + down[:, None], height).to(images.device)
    columns = _mirrored(torch.arange(width) + right[:, None], width).to(images.device)
    which = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _mirrored(position: Tensor, size: int) -> Tensor:
    """Positions folded back into [0, size), the border pixel not repeated."""
    return size - 1 - (size - 1 - position.abs()).abs()


def blur(images: Tensor, deviation: Tensor, radius: int) -> Tensor:
    """Images (n, c, h, w) through a Gaussian of each one's own standard deviation (n,) in pixels, cut at ``radius``."""
    if radius == 0:
        return images
    n, channels, height, width = images.shape
    offset = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = torch.exp(-offset.square() / (2 * deviation[:, None].clamp_min(1e-3).square()))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0).to(images.device)
    flat = pad(images, (radius,) * 4, mode="reflect").reshape(1, n * channels, height + 2 * radius, -1)
    flat = conv2d(flat, kernel[:, None, :, None], groups=n * channels)
    return conv2d(flat, kernel[:, None, None, :], groups=n * channels).reshape(n, channels, height, width)
