"""JPEG's loss, batched: the colour transform, 8x8 cosine transform and quantisation of ITU-T T.81, without its coding.

Entropy coding loses nothing and is left out. Chroma is not subsampled (4:4:4), so at equal quality a little more colour
detail survives than in a common file.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 8
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)  # ITU-T T.81, table K.1
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)  # table K.2
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # JFIF 1.02
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@torch.no_grad()
def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Images after one JPEG round trip at 4:4:4.

    images: (n, 1 or 3, h, w) in [-1, 1], clamped first; quality: (n,) in [1, 100]. Returns the same shape, on the 256
    levels of a file. Equal to libjpeg up to the rounding of its integer arithmetic.
    """
    transform = _transform().to(images)
    colour = images.shape[1] == 3
    levels = (images.clamp(-1, 1) + 1).mul_(127.5).round_()
    planes = _mix(levels, TO_YCC).round_() if colour else levels
    planes[:, 0] -= 128
    height, width = images.shape[2:]
    blocks = _blocks(pad(planes, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate"))
    steps = quantisation(quality.to(images), images.shape[1])[:, :, None, :]
    restored = ((blocks @ transform.T).div_(steps).round_().mul_(steps)) @ transform
    planes = _image(restored, height, width).round_().clamp_(-128, 127)
    planes[:, 0] += 128
    levels = _mix(planes, TO_RGB).round_() if colour else planes
    return levels.clamp_(0, 255).div_(127.5).sub_(1)


def quantisation(quality: Tensor, channels: int) -> Tensor:
    """Quantisation steps (n, channels, 64) at each quality (n,), as libjpeg scales the tables of the standard."""
    tables = [LUMINANCE] + [CHROMINANCE] * (channels - 1)
    base = torch.tensor(tables, dtype=quality.dtype, device=quality.device).reshape(1, channels, BLOCK * BLOCK)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None].floor()
    return ((base * scale + 50) / 100).floor().clamp(1, 255)


@cache
def _transform() -> Tensor:
    """The 8x8 cosine transform of a flattened block: an orthonormal (64, 64) matrix."""
    position = torch.arange(BLOCK, dtype=torch.float64)
    waves = torch.cos((2 * position[None] + 1) * position[:, None] * torch.pi / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    waves[0] /= 2**0.5
    return torch.kron(waves, waves)


def _mix(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Each pixel's channels through a 3x3 matrix."""
    weights = torch.tensor(matrix, dtype=planes.dtype, device=planes.device)
    return torch.einsum("dc,nchw->ndhw", weights, planes).contiguous()


def _blocks(planes: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c, blocks, 64)."""
    n, c, h, w = planes.shape
    tiles = planes.reshape(n, c, h // BLOCK, BLOCK, w // BLOCK, BLOCK)
    return tiles.transpose(3, 4).reshape(n, c, -1, BLOCK * BLOCK)


def _image(blocks: Tensor, height: int, width: int) -> Tensor:
    """The inverse of ``_blocks``, without the padding beyond ``height`` and ``width``."""
    n, c = blocks.shape[:2]
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    tiles = blocks.reshape(n, c, rows, columns, BLOCK, BLOCK).transpose(3, 4)
    return tiles.reshape(n, c, rows * BLOCK, columns * BLOCK)[:, :, :height, :width]
