"""The pictures of the toy: a coloured blob on grey stripes, drawn so that every factor can be read back in closed form.

Only the blob has chroma, of one constant strength; so the chroma of a pixel is the mask, and its angle is the hue.
Brightness is a sum of known patterns; so blob, background and stripes are read by linear least squares.
Coordinates run from -1 to 1 over the frame, x to the right and y downwards.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gdbench import Factor

RESOLUTION = 32
EDGE = 0.02  # softness of the blob's outline, in squared length
CHROMA = 0.45  # strength of the blob's colour; with the range of brightness it stays inside [-1, 1]
STRIPES = 0.4  # amplitude of the stripes on a fully present background
STRIPE_TURNS = (0.9, 0.6)  # turns of the stripes per unit of x and y
WHITE = 1.0
SOFTNESS = 5.0  # the prior fills the middle of each range, so that one factor alone can change a picture visibly

FACTORS = (
    Factor("level", "linear", ("presence", 0.3)),
    Factor("phase", "circular", ("presence", 0.3)),
    Factor("hue", "circular"),
    Factor("brightness"),
    Factor("size"),
    Factor("x"),
    Factor("y"),
    Factor("presence"),
)
RANGES = ((-0.6, 0.5), (0.1, 0.9), (0.1, 0.9), (-0.5, 0.5), (0.18, 0.7), (-0.35, 0.35), (-0.35, 0.35), (0.0, 1.0))
"""Open interval of each factor; hue and phase are in turns, and never wrap."""

NAMES = tuple(factor.name for factor in FACTORS)


AXIS = (torch.arange(RESOLUTION) + 0.5) * (2 / RESOLUTION) - 1
"""Pixel centres (r,)."""

_ANGLE = 2 * math.pi * (STRIPE_TURNS[0] * AXIS[None, :] + STRIPE_TURNS[1] * AXIS[:, None])
PATTERNS = torch.stack([torch.ones_like(_ANGLE), _ANGLE.cos(), _ANGLE.sin()]).flatten(1)
"""One, and the cosine and sine of the stripes: (3, r * r)."""

HUES = torch.tensor([[1.0, -0.5, -0.5], [0.0, math.sqrt(0.75), -math.sqrt(0.75)]])
"""Two orthogonal colours of zero mean and squared length 1.5: (2, 3), a basis of the plane of chroma."""


def squash(activations: Tensor) -> Tensor:
    """Factors (n, 8) of activations (n, 8): any real number into the factor's range, by a hyperbolic tangent."""
    low, high = activations.new_tensor(RANGES).unbind(1)
    return low + (high - low) * (0.5 + 0.5 * torch.tanh(activations / SOFTNESS))


def draw(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, 3, r, r) in [-1, 1] and masks (n, r, r) in [0, 1] of factors (n, 8); differentiable."""
    level, phase, hue, brightness, size, x, y, presence = factors.unbind(1)
    mask = _blob(x, y, size)
    ground = _background(level, phase, presence)
    luma = ground + mask * (brightness[:, None, None] - ground)
    angle = 2 * math.pi * hue
    chroma = CHROMA * torch.stack([angle.cos(), angle.sin()], 1) @ HUES.to(factors)
    return luma[:, None] + mask[:, None] * chroma[:, :, None, None], mask


def _blob(x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    """Mask sigmoid((size^2 - d^2) / EDGE), d the distance from (x, y): of area pi * EDGE * softplus(size^2 / EDGE)."""
    across = (AXIS.to(x) - x[:, None]).square()
    down = (AXIS.to(y) - y[:, None]).square()
    inside = size.square()[:, None] - down
    return torch.sigmoid((inside[:, :, None] - across[:, None, :]) / EDGE)


def _background(level: Tensor, phase: Tensor, presence: Tensor) -> Tensor:
    """Brightness (n, r, r): stripes around ``level``, faded to plain white where presence is 0."""
    angle = 2 * math.pi * phase
    even = presence * level + (1 - presence) * WHITE
    weights = torch.stack([even, STRIPES * presence * angle.cos(), -STRIPES * presence * angle.sin()], 1)
    return (weights @ PATTERNS.to(weights)).reshape(-1, RESOLUTION, RESOLUTION)
