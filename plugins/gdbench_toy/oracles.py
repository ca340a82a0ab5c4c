"""Two oracles without weights: closed-form inverses of the picture that look at different pixels.

A solves one least-squares problem over the whole image. B reads positions from squared masks, the blob from its core
and the background from what is far from the blob. On an image that the toy could draw, both are exact up to the
sampling of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gdbench import fitted
from gdbench_toy.picture import AXIS, CHROMA, EDGE, HUES, NAMES, PATTERNS, RANGES, RESOLUTION, STRIPES, WHITE

SHAPE = (3, RESOLUTION, RESOLUTION)
PIXEL = (2 / RESOLUTION) ** 2
RIDGE = 1e-6
LUMA_WEIGHT = 2.0


@dataclass(frozen=True)
class ToyOracle:
    """A closed-form reader of toy images behind gdbench's `Oracle` protocol; they are read at (3, 32, 32).

    power: exponent of the mask in the centre of mass. brightness: (luma, mask), both (n, pixels), -> coefficients
    (n, 4) of blob, even background, and cosine and sine of the stripes. sizes: edge lengths of the feature maps.
    """

    power: int
    brightness: Callable[[Tensor, Tensor], Tensor]
    sizes: tuple[int, ...]

    @property
    def passed(self) -> Mapping[str, bool]:
        """Every factor: tests/plugins/test_toy.py asserts R² >= .95 of each."""
        return dict.fromkeys(NAMES, True)

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """Factor name -> (n,) values in the units of the picture; hue and phase in turns."""
        images = fitted(images, SHAPE)
        mask, angle = _mask_and_hue(images)
        x, y = _centre(mask**self.power)
        size = _size(mask)
        blob, even, cosine, sine = self.brightness(images.mean(1).flatten(1), mask.flatten(1)).unbind(1)
        presence = torch.hypot(cosine, sine) / STRIPES
        level = (even - (1 - presence) * WHITE) / presence.clamp_min(1e-3)
        phase = torch.atan2(-sine, cosine) / (2 * math.pi) % 1
        values = (level, phase, angle, blob, size, x, y, presence)
        return {name: _within(name, value) for name, value in zip(NAMES, values, strict=True)}

    def embed(self, images: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Block means (n, 4, s, s) of chroma, brightness and a constant; pooled features (n, 64).

        The constant keeps what unit-normalised channels would lose: two greys then differ by an angle. The weight of
        brightness is such that each planted direction alone reaches every calibrated change.
        """
        images = fitted(images, SHAPE)
        luma = images.mean(1, keepdim=True)
        signals = torch.cat([_chroma(images), LUMA_WEIGHT * luma, torch.ones_like(luma)], 1)
        pooled = torch.cat([images, self.mask(images)[:, None]], 1)
        return [avg_pool2d(signals, RESOLUTION // size) for size in self.sizes], avg_pool2d(pooled, 8).flatten(1)

    def mask(self, images: Tensor) -> Tensor:
        """The blob (n, h, w) in [0, 1]."""
        mask = _mask_and_hue(fitted(images, SHAPE))[0].clamp(0, 1)
        return fitted(mask[:, None], (1, *images.shape[2:]))[:, 0]


def oracle_a() -> ToyOracle:
    """The oracle that labels and gives the distance."""
    return ToyOracle(power=1, brightness=_whole, sizes=(16, 8))


def oracle_b() -> ToyOracle:
    """The oracle that scores."""
    return ToyOracle(power=2, brightness=_parts, sizes=(8, 4))


def _mask_and_hue(images: Tensor) -> tuple[Tensor, Tensor]:
    """The strength of chroma as a mask (n, r, r), and the hue (n,) in turns of its sum over the image."""
    chroma = _chroma(images)
    total = chroma.sum((2, 3))
    strength = torch.hypot(chroma[:, 0], chroma[:, 1]) / CHROMA  # norm(dim=1) is fifty times slower
    return strength, torch.atan2(total[:, 1], total[:, 0]) / (2 * math.pi) % 1


def _chroma(images: Tensor) -> Tensor:
    """Coordinates (n, 2, r, r) of each pixel's colour in the basis HUES, whose rows have squared length 1.5."""
    return torch.einsum("kc,nchw->nkhw", HUES.to(images) / 1.5, images)


def _centre(weights: Tensor) -> tuple[Tensor, Tensor]:
    mass = weights.sum((1, 2)).clamp_min(1e-6)
    at = AXIS.to(weights)
    return weights.sum(1) @ at / mass, weights.sum(2) @ at / mass


def _size(mask: Tensor) -> Tensor:
    """The inverse of area = pi * EDGE * softplus(size^2 / EDGE)."""
    area = mask.sum((1, 2)) * PIXEL
    return (EDGE * torch.log(torch.expm1((area / (math.pi * EDGE)).clamp(1e-6, 80)))).clamp_min(0).sqrt()


def _whole(luma: Tensor, mask: Tensor) -> Tensor:
    """All four coefficients at once: luma = blob * mask + (even + stripes) * (1 - mask)."""
    ground = (1 - mask)[:, None] * PATTERNS.to(luma)
    return _least_squares(torch.cat([mask[:, None], ground], 1), luma)


def _parts(luma: Tensor, mask: Tensor) -> Tensor:
    """The blob from its core, then the background from pixels that hold next to nothing of the blob."""
    core, far = _eighth_power(mask), _eighth_power((1 - mask).clamp_min(0))
    ground = _least_squares(far[:, None] * PATTERNS.to(luma), far * luma)
    behind = ground @ PATTERNS.to(luma)
    numerator = (core * (luma - (1 - mask) * behind)).sum(1)
    return torch.cat([(numerator / (core * mask).sum(1).clamp_min(1e-6))[:, None], ground], 1)


def _eighth_power(values: Tensor) -> Tensor:
    return values.square().square().square()


def _least_squares(design: Tensor, target: Tensor) -> Tensor:
    """Coefficients (n, k) of rows ``design`` (n, k, pixels) that fit ``target`` (n, pixels), with a small ridge."""
    normal = design @ design.transpose(1, 2) + RIDGE * torch.eye(design.shape[1]).to(design)
    solved: Tensor = torch.linalg.solve(normal, design @ target[:, :, None])
    return solved[..., 0]


def _within(name: str, value: Tensor) -> Tensor:
    """Values of an image that is no picture of the toy stay near the range: twice its width, around its middle."""
    low, high = RANGES[NAMES.index(name)]
    return value.clamp(low - (high - low) / 2, high + (high - low) / 2) if name not in ("hue", "phase") else value
