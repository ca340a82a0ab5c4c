"""Thickness, slant, width, height and area of a digit, measured from its image: batched, in torch.

The quantities of Castro et al., Morpho-MNIST, JMLR 2019, section 2. Units are pixels of the 32 px image, degrees, and
square pixels. An image is enlarged (bilinear) and cut at a grey level: the measures are those of the binary ink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

NAMES = ("thickness", "slant", "width", "height", "area")
ENLARGED = 2
REACH = 6
"""Pixels beyond which the distance to the edge is not followed: strokes are measured up to a thickness of 12 px."""

SHEAR = 2.0
"""Largest tangent of a slant: second moments of a flat line know no slant."""

OUTSIDE = 0.01
"""Share of the ink that may lie beyond each side of the bounding parallelogram."""


def measure(images: Tensor, levels: Sequence[float] = (0.5,), enlarged: int = ENLARGED) -> dict[str, Tensor]:
    """Each measure (n,) of images (n, 1, h, w) in [-1, 1], meaned over the grey `levels` in (0, 1), 1 being full ink.

    thickness: four times the mean distance of ink to the nearest background, px; that is the width of a long stroke.
    (Twice the mean on the skeleton, as in the paper, is the same for one stroke; R² .96 on digits, without the spurs.)
    slant: shear angle from second moments, atan(-mu_xy / mu_yy), degrees within ±63; positive leans to the right.
    height, width: of the parallelogram with that slant which leaves out 1 % of the ink at each side, px; the width is
    along the rows, and up to half a pixel too large for slanted strokes, whose edges are stairs. area: ink, px². All
    are 0 where there is no ink.
    """
    grey = interpolate((images.clamp(-1, 1) + 1) / 2, scale_factor=enlarged, mode="bilinear")[:, 0]
    parts = [_binary(grey > level, enlarged, grey.dtype) for level in levels]
    return {name: torch.stack([part[name] for part in parts]).mean(0) for name in NAMES}


def _binary(ink: Tensor, scale: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Measures of binary ink (n, h, w) whose pixels are 1 / scale wide."""
    weights = ink.to(dtype)
    mass = weights.sum((1, 2))
    some = (mass > 0).to(dtype)
    moments = _moments(weights, mass.clamp(min=1))
    edge = distance_to_background(ink, REACH * scale, dtype).sum((1, 2)) / mass.clamp(min=1)
    height = extent(weights.sum(2))
    width = extent(_sheared(weights, moments))
    return {
        "thickness": some * 4 * (edge - 0.5) / scale,  # the edge lies half a pixel before the first background centre
        "slant": torch.rad2deg(torch.atan(-moments.shear)),
        "width": width / scale,
        "height": height / scale,
        "area": mass / scale**2,
    }


@dataclass(frozen=True)
class Moments:
    """Of each image (n,): the mean row of its ink, and how far a row lies to the right per row downwards."""

    row: Tensor
    shear: Tensor


def _moments(weights: Tensor, mass: Tensor) -> Moments:
    rows, columns = (torch.arange(size, dtype=weights.dtype, device=weights.device) for size in weights.shape[1:])
    across, down = weights.sum(1), weights.sum(2)
    row, column = (down @ rows) / mass, (across @ columns) / mass
    below = rows - row[:, None]
    variance = (down * below.square()).sum(1) / mass
    covariance = (((weights @ columns) - down * column[:, None]) * below).sum(1) / mass
    return Moments(row, (covariance / variance.clamp(min=1e-6)).clamp(-SHEAR, SHEAR))


def _sheared(weights: Tensor, moments: Moments) -> Tensor:
    """Ink per column (n, columns) after the slant is taken out; a pixel is shared by the two columns that it covers."""
    n, h, w = weights.shape
    rows, columns = (torch.arange(size, dtype=weights.dtype, device=weights.device) for size in (h, w))
    margin = int(SHEAR * h) + 1
    shift = moments.shear[:, None] * (rows - moments.row[:, None])
    position = columns - shift[:, :, None] + margin
    first = position.floor()
    share = position - first
    index = first.long().flatten(1)
    counts = weights.new_zeros(n, w + 2 * margin + 1)
    counts.scatter_add_(1, index, (weights * (1 - share)).flatten(1))
    counts.scatter_add_(1, index + 1, (weights * share).flatten(1))
    return counts


def extent(counts: Tensor) -> Tensor:
    """Length (n,) that holds the ink but for OUTSIDE at each end; counts (n, m): ink in m unit cells in a row."""
    total = counts.cumsum(1)
    whole = total[:, -1:]
    before, after = OUTSIDE * whole, (1 - OUTSIDE) * whole
    return torch.where(whole[:, 0] > 0, _place(counts, total, after) - _place(counts, total, before), 0)


def _place(counts: Tensor, total: Tensor, wanted: Tensor) -> Tensor:
    """Where the running total (n, m) reaches `wanted` (n, 1), ink being even within a cell."""
    cell = torch.searchsorted(total, wanted.contiguous()).clamp(max=counts.shape[1] - 1)
    here = counts.gather(1, cell)
    missing = total.gather(1, cell) - wanted
    return (cell + 1 - missing / here.clamp(min=1e-12))[:, 0]


def distance_to_background(ink: Tensor, reach: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Euclidean distance (n, h, w) of each pixel of ink (n, h, w) to the nearest background pixel, at most `reach`.

    Exact, by the two passes of Felzenszwalb and Huttenlocher, Theory of Computing 2012; 0 on the background. What
    lies outside of the image is not background.
    """
    squared = ink.to(dtype) * reach**2
    for axis in (2, 1):
        margins = (reach, reach, 0, 0) if axis == 2 else (0, 0, reach, reach)
        padded, size = pad(squared, margins, value=float(reach**2)), ink.shape[axis]
        for step in range(1, reach):
            for start in (reach - step, reach + step):
                squared = torch.minimum(squared, padded.narrow(axis, start, size) + step**2)
    return squared.sqrt()
