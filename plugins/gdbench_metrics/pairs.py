"""Pairs of an image and its edit with a visible change in the protocol's range, as a reconstructor sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdbench import Calibration, Codes, Subject, integers, uniform

RANGE = (0.15, 0.30)  # of the visible change u, in units of the median distance of independent images
SHARED = 4  # edits that share an original, since an original costs as much as an edit
LARGEST = 4096  # pairs held at once
MEMORY = 2**28  # bytes of pairs held at once


@dataclass(frozen=True)
class Pairs:
    """n pairs on the 256 levels of a file: uint8 images (n / SHARED, c, h, w) before, (n, c, h, w) after.

    direction (n,) int64; change (n,): u times the sign of the shift.
    """

    before: Tensor
    after: Tensor
    direction: Tensor
    change: Tensor

    def __len__(self) -> int:
        return len(self.after)

    def images(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Originals and edits (m, c, h, w) in [-1, 1] of the pairs at ``index`` (m,)."""
        index = index.to(self.after.device)
        return _values(self.before[index // SHARED]), _values(self.after[index])


def alive_directions(calibration: Calibration) -> Tensor:
    """The directions (int64) of which at least one sign reaches the headline change."""
    return (~calibration.dead.all(1)).nonzero()[:, 0]


def capacity(image_shape: tuple[int, int, int], batch: int, wanted: int) -> int:
    """How many of the ``wanted`` pairs to hold at once: a multiple of ``batch`` and of SHARED, at least one of each."""
    fitting = min(LARGEST, MEMORY // (2 * int(np.prod(image_shape))), wanted)
    unit = int(np.lcm(batch, SHARED))
    return max(fitting // unit, 1) * unit


@torch.no_grad()
def draw(subject: Subject, directions: Tensor, n: int, rng: np.random.Generator) -> Pairs:
    """``n`` pairs: direction uniform over ``directions``, sign uniform over its alive signs."""
    codes = subject.generator.sample(-(-n // SHARED), subject.space, rng)
    direction = directions[integers(rng, len(directions), n)]
    sign = 1.0 - 2.0 * integers(rng, 2, n).float()
    dead = subject.calibration.dead[direction, (sign < 0).long()]
    sign = torch.where(dead, -sign, sign)
    change = uniform(rng, *RANGE, n)
    magnitude = sign * subject.calibration.interpolate(change, direction, sign)
    return Pairs(_before(subject, codes), _after(subject, codes, direction, magnitude), direction, sign * change)


def _before(subject: Subject, codes: Codes) -> Tensor:
    return torch.cat([_levels(subject.generator.render(chunk)) for chunk in codes.chunks(subject.batch)])


def _after(subject: Subject, codes: Codes, direction: Tensor, magnitude: Tensor) -> Tensor:
    parts = []
    for start in range(0, len(direction), subject.batch):
        here = slice(start, start + subject.batch)
        which = torch.arange(len(direction))[here] // SHARED
        edited = subject.directions.displace(codes[which.to(codes.latents.device)], direction[here], magnitude[here])
        parts.append(_levels(subject.generator.render(edited)))
    return torch.cat(parts)


def _levels(images: Tensor) -> Tensor:
    return (images.clamp(-1, 1) + 1).mul_(127.5).round_().byte()


def _values(levels: Tensor) -> Tensor:
    return levels.float().div_(127.5).sub_(1)
