"""A domain of red discs on grey: images, masks and true factors come from a drawing, oracles are closed formulas."""

import torch
from torch.nn.functional import avg_pool2d

from gdbench import Factor, fitted, uniform

SHAPE = (3, 32, 32)
AXIS = (torch.arange(32) + 0.5) / 16 - 1
RED = torch.tensor([0.8, -0.4, -0.4]).view(3, 1, 1)
FACTORS = (Factor("x"), Factor("y"), Factor("size"), Factor("ground"))
RANGES = ((-0.5, 0.5), (-0.5, 0.5), (0.2, 0.45), (-0.6, 0.6))


def draw(x, y, size, ground):
    """Images (n, 3, 32, 32) in [-1, 1] and masks (n, 32, 32) in [0, 1] of factors (n,)."""
    distance = ((AXIS - x[:, None, None]) ** 2 + (AXIS[:, None] - y[:, None, None]) ** 2).sqrt()
    mask = torch.sigmoid((size[:, None, None] - distance) / 0.02)
    return mask[:, None] * RED + (1 - mask)[:, None] * ground.view(-1, 1, 1, 1).expand(-1, 3, 1, 1), mask


class Oracle:
    """Reads images (n, 3, 32, 32), and others resized. power: of the mask in the disc's centre; side: of its maps."""

    def __init__(self, power, side):
        self.power, self.side = power, side
        self.passed = {factor.name: True for factor in FACTORS}

    def read(self, images):
        """Factor name -> (n,)."""
        images = fitted(images, SHAPE)
        mask = self.mask(images)
        weights = mask**self.power + 1e-6
        total, rest = weights.sum((1, 2)), (1 - mask) ** self.power + 1e-6
        return {
            "x": (weights.sum(1) @ AXIS) / total,
            "y": (weights.sum(2) @ AXIS) / total,
            "size": (mask.sum((1, 2)) / 256 / torch.pi).sqrt(),
            "ground": ((images[:, 1] + 0.4 * mask) / (1 - mask).clamp_min(1e-3) * rest).sum((1, 2)) / rest.sum((1, 2)),
        }

    def embed(self, images):
        """Maps [(n, 4, side, side)] for the distance, and features (n, 48) for sets of images."""
        images = fitted(images, SHAPE)
        known = torch.cat([images, torch.ones_like(images[:, :1])], 1)  # a constant keeps two greys apart
        return [avg_pool2d(known, 32 // self.side)], avg_pool2d(images, 8).flatten(1)

    def mask(self, images):
        """The disc (n, h, w) in [0, 1]: what is red."""
        red = fitted(images, (3, *images.shape[2:]))
        return ((red[:, 0] - red[:, 2]) / 1.2).clamp(0, 1)


class Discs:
    """What images of discs show. A domain is any object with these seven members."""

    name = "discs"
    distance = "oracle a"
    factors = FACTORS

    def images(self, n, rng):
        return self.truth(n, rng)[0]

    def pairs(self, n, rng):
        return draw(*self._factors(n, rng))

    def truth(self, n, rng):
        values = self._factors(n, rng)
        return draw(*values)[0], {factor.name: value for factor, value in zip(FACTORS, values, strict=True)}

    def oracle(self, which):
        return Oracle(power=1, side=16) if which == "a" else Oracle(power=2, side=8)

    def _factors(self, n, rng):
        return [uniform(rng, low, high, n) for low, high in RANGES]


def load(device):
    """The domain; this one computes on the CPU alone."""
    return Discs()
