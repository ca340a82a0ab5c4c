"""Pre-rendered frames: what a page shows where it cannot draw, every direction at fixed visible changes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gdbench.errors import UsageError

if TYPE_CHECKING:
    from gdbench.codes import Codes
    from gdbench.explorer.subject import Explored, Subject

TAUS = (-0.6, -0.45, -0.3, -0.15, 0.0, 0.15, 0.3, 0.45, 0.6)
SIDES, QUALITIES = (128, 96, 64, 48, 32, 24, 16), (85, 65, 45)
LONGEST = 16_383
"""Pixels of a side of a WebP at most."""
BATCH = 64


@dataclass(frozen=True)
class Frames:
    """images: a data address for each latent, a picture with a row for each direction and a column for each of taus.

    width, height: of one frame, in pixels.
    """

    taus: tuple[float, ...]
    width: int
    height: int
    images: tuple[str, ...]


def frames_of(subject: Subject, run: Explored, latents: int, most: int) -> Frames:
    """Frames of all directions of a run for the first ``latents`` latents, in ``most`` bytes of addresses.

    Raises UsageError where they do not fit.
    """
    space = run.directions.space
    codes = [subject.code(space, number) for number in range(latents)]
    tiles = [_tiles(subject, run, code) for code in codes]
    height, width = tiles[0].shape[2:4]
    for side in (max(height, width), *(side for side in SIDES if side < max(height, width))):
        small = [_resized(one, side) for one in tiles]
        rows, columns, high, wide = small[0].shape[:4]
        if max(rows * high, columns * wide) > LONGEST:
            continue
        for quality in QUALITIES:
            images = tuple(_address(one, quality) for one in small)
            if sum(map(len, images)) <= most:
                return Frames(TAUS, wide, high, images)
    raise UsageError(
        f"frames of {len(run.directions)} directions and {latents} latents do not fit in {most / 1e6:.1f} MB: fewer "
        "--latents, fewer runs, or --serve, which renders as one asks"
    )


@torch.no_grad()
def _tiles(subject: Subject, run: Explored, code: Codes) -> NDArray[np.uint8]:
    """(k, taus, h, w, 3) of one code; no side is larger than the largest of ``SIDES``."""
    k = len(run.directions)
    index = torch.arange(k).repeat_interleave(len(TAUS))
    tau = torch.tensor(TAUS).repeat(k)
    made = []
    for start in range(0, len(index), BATCH):
        part = slice(start, start + BATCH)
        images = subject.generator.render(moved(run, code.repeated(len(index[part])), index[part], tau[part]))
        made.append(_resized(pixels(images)[None], SIDES[0])[0])
    flat = np.concatenate(made)
    return flat.reshape(k, len(TAUS), *flat.shape[1:])


def moved(run: Explored, codes: Codes, index: Tensor, tau: Tensor) -> Codes:
    """Each code (n,) moved along direction ``index`` (n,) by the signed visible change ``tau`` (n,)."""
    magnitude = run.calibration.interpolate(tau.abs(), index, torch.where(tau < 0, -1.0, 1.0))
    return run.directions.displace(codes, index, magnitude * tau.sign())


def pixels(images: Tensor) -> NDArray[np.uint8]:
    """Images (n, 1 or 3, h, w) in [-1, 1] as (n, h, w, 3); what is not a number is black."""
    clamped = images.detach().float().cpu().nan_to_num(-1.0).clamp(-1, 1)
    shown = ((clamped + 1) * 127.5).round().byte().expand(-1, 3, -1, -1)
    return np.ascontiguousarray(shown.permute(0, 2, 3, 1).numpy())


def _resized(tiles: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Tiles (..., h, w, 3) with a longer side of ``side`` at most."""
    from PIL import Image

    height, width = tiles.shape[-3:-1]
    if max(height, width) <= side:
        return tiles
    size = max(1, round(width * side / max(height, width))), max(1, round(height * side / max(height, width)))
    flat = tiles.reshape(-1, height, width, 3)
    small = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in flat]
    return np.stack(small).reshape(*tiles.shape[:-3], size[1], size[0], 3)


def _address(tiles: NDArray[np.uint8], quality: int) -> str:
    from PIL import Image

    rows, columns, height, width = tiles.shape[:4]
    sheet = tiles.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(sheet)).save(buffer, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
