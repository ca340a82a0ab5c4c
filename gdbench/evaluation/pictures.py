"""Pictures of directions: rows of images from -t to +t, and contact sheets. Pillow; torch only where it renders."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gdbench.console import clean
from gdbench.errors import IntegrityError
from gdbench.files import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

    from gdbench.codes import Codes
    from gdbench.evaluation.calibration import Calibration
    from gdbench.protocols import Directions, Generator

Pixels = NDArray[np.uint8]
SMALLEST, LARGEST = 64, 128
"""Side lengths of a tile: smaller images are enlarged pixel by pixel, larger ones are averaged down."""
GREY, WHITE = (150, 150, 150), (255, 255, 255)
GAP, BLOCK_GAP, ROW_GAP, MARGIN, LABEL, LINE = 1, 10, 4, 4, 236, 15
TAU = 0.45
BATCH = 128


DESCRIPTION = 0x010E
"""The EXIF field in which an atlas says its geometry."""
LARGEST_ATLAS, MOST_ROWS, STEPS = 60_000, 250, 5
LONGEST = 16_383
"""Pixels of a side of a WebP at most."""
SIDES, QUALITIES = (48, 32, 24, 16, 12, 8), (90, 80, 70, 60, 50)


@dataclass(frozen=True)
class Atlas:
    """The geometry of an atlas of strips: a row for each direction, ``codes`` blocks of ``steps`` tiles without gaps.

    width, height: of a tile, in pixels.
    """

    rows: int
    codes: int
    steps: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole, in pixels."""
        return self.codes * self.steps * self.width, self.rows * self.height

    def box(self, row: int) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge of the strip of direction ``row``. Raises IndexError for a row beyond."""
        if not 0 <= row < self.rows:
            raise IndexError(f"strip {row} of an atlas of {self.rows}")
        return 0, row * self.height, self.size[0], (row + 1) * self.height


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
) -> Image.Image:
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
    return compose(strips, title, captions)


def frames(
    generator: Generator,
    directions: Directions,
    calibration: Calibration,
    codes: Codes,
    direction: int,
    *,
    tau: float = TAU,
    steps: int = 24,
) -> Pixels:
    """Frames (steps, h, n w, 3) of ``direction`` from -t to +t, the images of all ``codes`` side by side.

    t: as in ``direction_grid``; a side that is dead stands still. Height and width are even, as films want it.
    """
    reach = calibration.usable(tau)[[direction]].cpu() * ~calibration.dead[[direction]].cpu()
    tiles = to_pixels(_sweep(generator, directions, codes, [direction], reach, steps))
    rows = tiles.reshape(len(codes), steps, *tiles.shape[1:]).transpose(1, 2, 0, 3, 4)
    whole = rows.reshape(steps, rows.shape[1], -1, 3)
    return np.pad(whole, ((0, 0), (0, whole.shape[1] % 2), (0, whole.shape[2] % 2), (0, 0)), mode="edge")


def sheet(images: Tensor, columns: int = 8, title: str = "") -> Image.Image:
    """A contact sheet of images (n, 1 or 3, h, w) in [-1, 1], ``columns`` beside one another."""
    tiles = to_pixels(images)
    missing = -len(tiles) % columns
    tiles = np.concatenate([tiles, np.full((missing, *tiles.shape[1:]), 255, np.uint8)])
    return compose([Strip(row) for row in tiles.reshape(-1, 1, columns, *tiles.shape[1:])], title)


def save_atlas(
    generator: Generator,
    directions: Directions,
    calibration: Calibration,
    codes: Codes,
    path: Path,
    most: int = LARGEST_ATLAS,
) -> Atlas:
    """Draw the strips of all directions as one WebP of at most ``most`` bytes, so that pages need no generator.

    A row for each of the first 250 directions, a block of 5 images for each of ``codes``: -t, -t/2, 0, t/2, t at the
    headline visible change, or at the end of the range where that is not reached. The quality is lowered, then the size
    of tiles, until the file is small enough. The geometry lies in the file.
    """
    rows = list(range(min(len(directions), MOST_ROWS)))
    images = _sweep(generator, directions, codes, rows, calibration.usable()[rows].cpu(), STEPS)
    return save_tiles(images, len(codes), STEPS, path, most)


def save_tiles(images: Tensor, codes: int, steps: int, path: Path, most: int = LARGEST_ATLAS) -> Atlas:
    """Write images (rows * codes * steps, 1 to 4, h, w) in [-1, 1] as an atlas of at most ``most`` bytes."""
    pixels = _bytes(images)
    rows = len(pixels) // (codes * steps)
    native = min(max(pixels.shape[1:3]), SMALLEST)
    for side in (native, *(side for side in SIDES if side < native)):
        tiles = _within(pixels, side)
        atlas = Atlas(rows, codes, steps, tiles.shape[2], tiles.shape[1])
        for quality in QUALITIES if max(atlas.size) <= LONGEST else ():
            data = _webp(tiles, atlas, quality)
            if len(data) <= most:
                with atomic_write(path) as file:
                    file.write(data)
                return atlas
    raise ValueError(f"strips of {rows} directions do not fit in {most} bytes")


def read_atlas(path: Path) -> Atlas:
    """The geometry of an atlas that ``save_atlas`` wrote. Raises IntegrityError for any other file."""

    try:
        with Image.open(path) as image:
            atlas = Atlas(**json.loads(image.getexif()[DESCRIPTION]))
            size = image.size
    except Exception as error:  # Pillow has many kinds, of which one is for sizes that would fill the memory
        reason = " ".join(str(error).split())[:200]
        raise IntegrityError(f"{path}: no atlas of strips ({type(error).__name__}: {reason})") from None
    if size != atlas.size:
        raise IntegrityError(f"{path}: {size} pixels, but its geometry says {atlas.size}")
    return atlas


def strip(path: Path, row: int, lines: Sequence[str] = ()) -> Strip:
    """The strip of direction ``row``, cut from an atlas; ``compose`` puts strips below one another.

    Raises IntegrityError for a file that is no atlas, IndexError for a row that it does not hold.
    """

    atlas = read_atlas(path)
    with Image.open(path) as image:
        cut = np.asarray(image.convert("RGB").crop(atlas.box(row)))
    tiles = cut.reshape(atlas.height, atlas.codes, atlas.steps, atlas.width, 3).transpose(1, 2, 0, 3, 4)
    return Strip(tiles, tuple(lines))


def _webp(tiles: Pixels, atlas: Atlas, quality: int) -> bytes:
    width, height = atlas.size
    grid = tiles.reshape(atlas.rows, atlas.codes * atlas.steps, atlas.height, atlas.width, 3).transpose(0, 2, 1, 3, 4)
    exif = Image.Exif()
    exif[DESCRIPTION] = json.dumps(asdict(atlas))
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(grid.reshape(height, width, 3)))
    image.save(buffer, "WEBP", quality=quality, method=4, exif=exif)
    return buffer.getvalue()


def save(image: Image.Image, path: Path) -> None:
    """Write ``image`` as PNG, atomically."""
    with atomic_write(path) as file:
        image.save(file, "PNG", optimize=True)


def to_pixels(images: Tensor) -> Pixels:
    """Images (n, 1 to 4, h, w), clamped to [-1, 1], as tiles (n, h', w', 3) of a size that a person can judge.

    Not-a-number is black. Raises ValueError for other shapes.
    """
    return _legible(_bytes(images))


def _bytes(images: Tensor) -> Pixels:
    """Images (n, 1 to 4, h, w), clamped, as (n, h, w, 3) of their own size: of 2 channels the first, of 4 three."""
    if images.dim() != 4 or images.shape[1] not in (1, 2, 3, 4):
        raise ValueError(f"images must be (n, 1 to 4, h, w), got {tuple(images.shape)}")
    images = images[:, : 3 if images.shape[1] > 2 else 1]
    array = np.nan_to_num(images.detach().float().cpu().numpy(), nan=-1).clip(-1, 1)
    pixels = ((array + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels


def _legible(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[1:3]
    side = max(height, width)
    if side < SMALLEST:
        times = -(-SMALLEST // side)
        return pixels.repeat(times, axis=1).repeat(times, axis=2)
    return _within(pixels, LARGEST)


def _within(pixels: Pixels, most: int) -> Pixels:
    """Images (n, h, w, 3), averaged down where their longer side is more than ``most`` pixels."""

    height, width = pixels.shape[1:3]
    side = max(height, width)
    if side <= most or not len(pixels):
        return pixels
    size = max(1, round(width * most / side)), max(1, round(height * most / side))
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


def compose(strips: Sequence[Strip], title: str, captions: Sequence[str] = ()) -> Image.Image:
    """Strips of one shape below one another on grey, text on white: the title above, captions above each block."""

    strips = [replace(strip, tiles=_legible_tiles(strip.tiles)) for strip in strips]
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


def _legible_tiles(tiles: Pixels) -> Pixels:
    flat = _legible(tiles.reshape(-1, *tiles.shape[2:]))
    return flat.reshape(*tiles.shape[:2], *flat.shape[1:])


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, room: int = 0) -> None:
    """Write a line, cut where it would be longer than ``room`` pixels."""

    font = ImageFont.load_default(12)
    text = clean(text)[:200]
    while room and text and font.getlength(text) > room:
        text = text[:-1]
    draw.text(place, text, fill=(0, 0, 0), font=font)
