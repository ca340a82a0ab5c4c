"""Pictures of directions: rows of images from -t to +t, and contact sheets. Pillow; torch only where it renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gdbench.console import clean

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from torch import Tensor

    from gdbench.codes import Codes
    from gdbench.evaluation.calibration import Calibration
    from gdbench.protocols import Directions, Generator

Pixels = NDArray[np.uint8]
SMALLEST, LARGEST = 64, 128
"""Side lengths of a tile: smaller images are enlarged pixel by pixel, larger ones are averaged down."""
GREY, WHITE = (150, 150, 150), (255, 255, 255)
GAP, BLOCK_GAP, ROW_GAP, MARGIN, LABEL, LINE = 1, 10, 4, 4, 124, 15
TAU = 0.45
BATCH = 128


@dataclass(frozen=True)
class Strip:
    """A row of a picture: tiles (blocks, steps, h, w, 3), and the lines of text that stand left of them."""

    tiles: Pixels
    lines: tuple[str, ...] = ()


def direction_grid(
    generator: Generator,
    directions: Directions,
    calibration: Calibration,
    codes: Codes,
    *,
    tau: float = TAU,
    steps: int = 7,
    rows: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    title: str = "",
) -> Image:
    """One row for each direction, one block of ``steps`` images from -t to +t for each of ``codes``, side by side.

    t: the magnitude of visible change ``tau`` on that side, or where its range ends below. A dead side is left white
    and said so. rows: indices of directions, all by default. names: what a direction is called, such as the factor that
    it moves most.
    """
    chosen = list(range(len(directions)) if rows is None else rows)
    reach, dead = calibration.usable(tau)[chosen].cpu(), calibration.dead[chosen].cpu().numpy()
    tiles = to_pixels(_sweep(generator, directions, codes, chosen, reach, steps))
    tiles = tiles.reshape(len(chosen), len(codes), steps, *tiles.shape[1:])
    position = np.linspace(-1, 1, steps)
    strips = []
    for place, index in enumerate(chosen):
        for side, there in enumerate((position > 0, position < 0)):
            if dead[place, side]:
                tiles[place][:, there] = WHITE
        lines = (f"direction {index}", (names or {}).get(index, ""), *_reach_text(reach[place].tolist(), dead[place]))
        strips.append(Strip(tiles[place], tuple(line for line in lines if line)))
    captions = ["-t", *[""] * (steps - 2), "+t"] if steps > 1 else []
    return _compose(strips, title, captions)


def sheet(images: Tensor, columns: int = 8, title: str = "") -> Image:
    """A contact sheet of images (n, 1 or 3, h, w) in [-1, 1], ``columns`` beside one another."""
    tiles = to_pixels(images)
    missing = -len(tiles) % columns
    tiles = np.concatenate([tiles, np.full((missing, *tiles.shape[1:]), 255, np.uint8)])
    return _compose([Strip(row) for row in tiles.reshape(-1, 1, columns, *tiles.shape[1:])], title)


def save(image: Image, path: Path) -> None:
    """Write ``image`` as PNG, atomically."""
    from gdbench.files import atomic_write

    with atomic_write(path) as file:
        image.save(file, "PNG", optimize=True)


def to_pixels(images: Tensor) -> Pixels:
    """Images (n, 1 or 3, h, w), clamped to [-1, 1], as tiles (n, h', w', 3) of a size that a person can judge.

    Not-a-number is black. Raises ValueError for other shapes.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (n, 1 or 3, h, w), got {tuple(images.shape)}")
    array = np.nan_to_num(images.detach().float().cpu().numpy(), nan=-1).clip(-1, 1)
    pixels = ((array + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return _legible(np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels)


def _legible(pixels: Pixels) -> Pixels:
    from PIL import Image

    height, width = pixels.shape[1:3]
    side = max(height, width)
    if side < SMALLEST:
        times = -(-SMALLEST // side)
        return pixels.repeat(times, axis=1).repeat(times, axis=2)
    if side <= LARGEST or not len(pixels):
        return pixels
    size = max(1, round(width * LARGEST / side)), max(1, round(height * LARGEST / side))
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pixels])


def _sweep(
    generator: Generator, directions: Directions, codes: Codes, chosen: Sequence[int], reach: Tensor, steps: int
) -> Tensor:
    """Images (rows * codes * steps, c, h, w) of magnitudes from -reach[:, 1] to reach[:, 0]; the middle is unedited."""
    import torch

    position = torch.linspace(-1, 1, steps)
    signed = torch.where(position < 0, position * reach[:, 1:], position * reach[:, :1])
    n = len(codes)
    index = torch.tensor(chosen, dtype=torch.long).repeat_interleave(n * steps)
    magnitude = signed[:, None, :].expand(-1, n, -1).reshape(-1)
    which = torch.arange(n).repeat_interleave(steps).repeat(len(chosen))
    with torch.no_grad():
        parts = [
            generator.render(
                directions.displace(codes[which[s : s + BATCH]], index[s : s + BATCH], magnitude[s : s + BATCH])
            )
            for s in range(0, len(index), BATCH)
        ]
    return torch.cat([part.cpu() for part in parts])


def _reach_text(reach: Sequence[float], dead: NDArray[np.bool_]) -> tuple[str, ...]:
    """The magnitudes at both ends, or what is dead instead."""
    if dead.all():
        return "dead: no visible", "change in range"
    low = "dead" if dead[1] else f"-{reach[1]:.3g}"
    high = "dead" if dead[0] else f"+{reach[0]:.3g}"
    return (f"t = {low} to {high}",)


def _compose(strips: Sequence[Strip], title: str, captions: Sequence[str] = ()) -> Image:
    """Strips below one another on grey, text on white: the title above, captions above each block's columns."""
    from PIL import Image, ImageDraw

    blocks, steps, height, width = strips[0].tiles.shape[:4]
    left = LABEL if any(strip.lines for strip in strips) else 0
    top = MARGIN + LINE * (bool(title) + bool(captions))
    block = steps * (width + GAP) + BLOCK_GAP
    size = left + blocks * block - BLOCK_GAP + GAP, top + len(strips) * (height + ROW_GAP)
    canvas = Image.new("RGB", size, GREY)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, size[0], top - 1), fill=WHITE)
    if left:
        draw.rectangle((0, 0, left - GAP - 1, size[1]), fill=WHITE)
    _write(draw, (MARGIN, MARGIN // 2), title, size[0] - 2 * MARGIN)
    for row, strip in enumerate(strips):
        y = top + row * (height + ROW_GAP) + GAP
        for line, text in enumerate(strip.lines):
            _write(draw, (MARGIN, y + line * LINE), text, LABEL - 2 * MARGIN)
        for b in range(blocks):
            for step in range(steps):
                canvas.paste(Image.fromarray(strip.tiles[b, step]), (left + b * block + step * (width + GAP) + GAP, y))
    for b in range(blocks):
        for step, text in enumerate(captions):
            _write(draw, (left + b * block + step * (width + GAP) + width // 2 - 6, top - LINE), text)
    return canvas


def _write(draw: ImageDraw, place: tuple[int, int], text: str, room: int = 0) -> None:
    """Write a line, cut where it would be longer than ``room`` pixels."""
    from PIL import ImageFont

    font = ImageFont.load_default(12)
    text = clean(text)[:200]
    while room and text and font.getlength(text) > room:
        text = text[:-1]
    draw.text(place, text, fill=(0, 0, 0), font=font)
