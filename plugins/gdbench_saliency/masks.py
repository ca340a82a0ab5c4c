"""Images with masks for nothing: the object is what the shift does not turn white (Voynov and Babenko 2020, 5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import Codes, Directions, Generator, Stream
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.whitening import Choice, brightness, render

AT_ONCE = 128  # images drawn in one attempt
SMALLEST, LARGEST = 0.05, 0.5  # areas between which a mask is kept, both excluded


@dataclass(frozen=True)
class Pairs:
    """Images (n, c, h, w) in [-1, 1] and masks (n, h, w) bool; drawn: how many were looked at to keep these."""

    images: Tensor
    masks: Tensor
    drawn: int

    def __len__(self) -> int:
        return len(self.masks)


Source = Callable[[int, Stream], Pairs]
"""``source(n, stream)``: n pairs. Raises NoMasks."""


class NoMasks(Exception):
    """Too few masks were of a likely area; the text says how many of how many."""


@torch.no_grad()
def synthesise(images: Tensor, edited: Tensor, opposite: Tensor | None, params: SaliencyParams) -> Tensor:
    """Masks (n, h, w) bool by the paper's two rules.

    ``intensity``: where the edited image is darker than ``threshold``. ``difference``: where edited minus opposite
    image, min-max scaled in each image, is below ``difference``.
    """
    if params.mask == "intensity":
        return brightness(edited) < params.threshold
    assert opposite is not None
    apart = brightness(edited) - brightness(opposite)
    low, high = apart.amin((1, 2), keepdim=True), apart.amax((1, 2), keepdim=True)
    return (apart - low) / (high - low).clamp_min(1e-6) < params.difference


def likely(masks: Tensor) -> Tensor:
    """Which masks (n, h, w) have an area strictly between .05 and .5."""
    area = masks.float().mean((1, 2))
    return (area > SMALLEST) & (area < LARGEST)


def shifted(generator: Generator, directions: Directions, choice: Choice, params: SaliencyParams, batch: int) -> Source:
    """Pairs of generated images and the masks that the chosen shift gives."""

    def edit(codes: Codes, sign: float) -> Tensor:
        index = torch.full((len(codes),), choice.direction)
        magnitude = torch.full((len(codes),), sign * choice.sign * choice.magnitude)
        return render(generator, directions.displace(codes, index, magnitude), batch)

    def masks(codes: Codes, images: Tensor) -> Tensor:
        opposite = edit(codes, -1.0) if params.mask == "difference" else None
        return synthesise(images, edit(codes, 1.0), opposite, params)

    return generated(generator, directions.space, masks, params, batch)


def generated(
    generator: Generator, space: str, masks: Callable[[Codes, Tensor], Tensor], params: SaliencyParams, batch: int
) -> Source:
    """Pairs of generated images and ``masks(codes, images)``; images are drawn until n masks have a likely area.

    batch: images rendered together, which changes nothing else. Raises NoMasks after ``params.attempts`` times AT_ONCE
    images, or after a tenth of them without a single mask.
    """

    @torch.no_grad()
    def draw(n: int, stream: Stream) -> Pairs:
        kept: list[tuple[Tensor, Tensor]] = []
        found = 0
        for attempt in range(params.attempts):
            codes = generator.sample(AT_ONCE, space, stream.at(attempt))
            images = render(generator, codes, batch)
            found_here = masks(codes, images)
            good = likely(found_here)
            kept.append((images[good], found_here[good]))
            found += int(good.sum())
            drawn = (attempt + 1) * AT_ONCE
            if found >= n:
                return Pairs(torch.cat([k[0] for k in kept])[:n], torch.cat([k[1] for k in kept])[:n], drawn)
            if found == 0 and 10 * (attempt + 1) >= params.attempts:
                break
        raise NoMasks(f"{found} of {drawn} shifted images give a mask of an area between {SMALLEST} and {LARGEST}")

    return draw
