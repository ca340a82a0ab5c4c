"""Which direction turns the background white? Judged on generated images alone, without any mask or label.

In the spirit of Melas-Kyriazi et al. 2021 (arXiv 2105.08127, section 3), whose losses ask for a border that changes
in brightness and for edges that stay; here each part is a share, so that they add up without weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from gdbench import Codes, Directions, Generator

BORDER = 1 / 8  # width of the border, in half sides of the frame
CENTRE = 1 / 2  # radius of the disc in the middle, in half sides
PLAIN = 0.05  # an image whose border is as near to white as this says nothing
SIGNS = (1.0, -1.0)


@dataclass(frozen=True)
class Choice:
    """A direction, sign (+1 or -1) and magnitude, its automatic score, and the best scores (k, 2) of all, + first."""

    direction: int
    sign: float
    magnitude: float
    score: float
    scores: Tensor


@torch.no_grad()
def choose(generator: Generator, directions: Directions, magnitudes: Tensor, codes: Codes, batch: int) -> Choice:
    """The direction, sign and magnitude of the highest automatic score among signless ``magnitudes`` (k, 2, m)."""
    before = brightness(render(generator, codes, batch))
    n, (k, _, m) = len(codes), magnitudes.shape
    table = torch.empty(k, 2, m)
    for direction in range(k):
        signed = (magnitudes[direction].cpu() * torch.tensor(SIGNS)[:, None]).flatten().repeat_interleave(n)
        index = torch.full((2 * m * n,), direction)
        edited = directions.displace(codes[torch.arange(n).repeat(2 * m)], index, signed)
        after = brightness(render(generator, edited, batch))
        table[direction] = torch.stack([whitening(before, part) for part in torch.split(after, n)]).reshape(2, m)
    best = tuple(int(place) for place in torch.unravel_index(table.argmax(), table.shape))
    return Choice(best[0], SIGNS[best[1]], float(magnitudes[best]), float(table[best]), table.amax(2))


def whitening(before: Tensor, after: Tensor) -> Tensor:
    """Mean over images of b - c - (1 - e), at most 1, and 0 for no change; brightnesses (n, h, w) in [0, 1].

    b: share of the way to white that the border went, sum(after - before) / sum(1 - before). c: change of the centre,
    in units of the centres of two unrelated images. e: share of the centre's edges that survive,
    sum(min(E, E')) / sum(E) of Sobel magnitudes. Images whose border is white before are left out.
    """
    border, centre = _frame(before)
    room = _mean(1 - before, border)
    shown = room > PLAIN
    if not shown.any():
        return before.new_zeros(()).cpu()
    whiter = _mean(after - before, border) / room.clamp_min(PLAIN)
    unrelated = _mean((before - before.roll(1, 0)).abs(), centre).mean().clamp_min(1e-6)
    moved = _mean((after - before).abs(), centre) / unrelated
    edges, left = _edges(before), _edges(after)
    survive = _mean(torch.minimum(edges, left), centre) / _mean(edges, centre).clamp_min(1e-6)
    return (whiter - moved - (1 - survive))[shown].mean().cpu()


def brightness(images: Tensor) -> Tensor:
    """Mean of the colours (n, h, w) in [0, 1] of images in [-1, 1]."""
    return (images.mean(1) + 1) / 2


def render(generator: Generator, codes: Codes, batch: int) -> Tensor:
    """Images in [-1, 1], rendered in batches."""
    return torch.cat([generator.render(chunk).clamp(-1, 1) for chunk in codes.chunks(batch)])


def _frame(like: Tensor) -> tuple[Tensor, Tensor]:
    """The border and the central disc (h, w) of a frame, as numbers 0 and 1."""
    across, down = _axis(like.shape[2], like), _axis(like.shape[1], like)
    outside = torch.maximum(across.abs()[None, :], down.abs()[:, None]) > 1 - BORDER
    inside = across.square()[None, :] + down.square()[:, None] < CENTRE**2
    return outside.to(like), inside.to(like)


def _axis(size: int, like: Tensor) -> Tensor:
    return (torch.arange(size, device=like.device) + 0.5) * (2 / size) - 1


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum((1, 2)) / where.sum()


def _edges(images: Tensor) -> Tensor:
    """Sobel magnitude (n, h, w); the frame's own outline is none, because the centre does not reach it."""
    kernel = images.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    found = conv2d(images[:, None], torch.stack([kernel, kernel.T])[:, None], padding=1)
    return torch.hypot(found[:, 0], found[:, 1])
