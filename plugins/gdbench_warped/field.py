"""Gradient fields of sums of radial functions, and paths along them (arXiv:2109.13357).

f(y) = sum_i a_i exp(-g |y - s_i|^2), with a = +1 for the first half of the support vectors and -1 for the second.
Everything is per row: supports (n, 2 dipoles, dim), gamma (n,), points (n, dim); one set of supports serves all rows
where the first two are of length 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gdbench import Stream, normal

RADII = (0.8, 0.9)
"""Supports start on spheres of these shares of the expected norm sqrt(dim), the first direction on the innermost."""


def start(stream: Stream, k: int, dipoles: int, dim: int) -> tuple[Tensor, Tensor]:
    """Antipodal supports (k, 2 dipoles, dim) in random directions, and log gamma (k,), gamma = 1 / dim."""
    ahead = F.normalize(normal(stream.at(), k, dipoles, dim), dim=2)
    supports = torch.cat([ahead, -ahead], 1) * torch.linspace(*RADII, k)[:, None, None] * math.sqrt(dim)
    return supports, torch.full((k,), -math.log(dim))


def slope(supports: Tensor, gamma: Tensor, points: Tensor) -> Tensor:
    """The unit vectors (n, dim) along grad f; zero where the gradient is.

    Scale cancels, so the factor 2 g is left out, and the largest exponential is 1: far from all supports nothing
    underflows.
    """
    cross = torch.einsum("nmd,nd->nm", supports, points)
    exponent = -gamma[:, None] * (supports.square().sum(2) - 2 * cross)  # |y|^2 is a common factor
    weight = (exponent - exponent.detach().amax(1, keepdim=True)).exp()
    ahead, behind = weight.chunk(2, 1)
    weight = torch.cat([ahead, -behind], 1)
    gradient = torch.einsum("nm,nmd->nd", weight, supports) - weight.sum(1, keepdim=True) * points
    return F.normalize(gradient, dim=1)


def walk(supports: Tensor, gamma: Tensor, points: Tensor, length: Tensor, step: float, count: int) -> Tensor:
    """Points (n, dim) after paths of signed ``length`` (n,), in at most ``count`` Euler steps of at most ``step``.

    Every path is the same polyline, cut at its length: a longer walk passes through the corners of a shorter one.
    """
    left = length
    for _ in range(count):
        stride = left.clamp(-step, step)
        points = points + stride[:, None] * slope(supports, gamma, points)
        left = left - stride
    return points


def pieces(longest: float, step: float) -> int:
    """How many steps a path of length ``longest`` takes."""
    return math.ceil(longest / step - 1e-6)
