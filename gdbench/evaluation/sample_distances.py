"""Two samples of features compared: KID with its standard error, and improved precision."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEIGHBOURS = 3


def kid(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Kernel inception distance of features (n, d) and (n, d), unbiased, and its standard error.

    The squared MMD with the kernel (a.b / d + 1)^3 (Binkowski et al. 2018, eq. 1 to 3); the error is that of the
    jackknife, which leaves out one image of each sample at a time.
    """
    n = len(x)
    if len(y) != n:
        raise ValueError(f"KID compares equally many images, got {n} and {len(y)}")
    within = [_kernel(a, a).fill_diagonal_(0) for a in (x, y)]
    across = _kernel(x, y)
    whole = _squared_mmd(sum(float(part.sum()) for part in within), float(across.sum()), n)
    without = sum((part.sum() - 2 * part.sum(1) for part in within), torch.zeros(n, dtype=torch.float64))
    apart = across.sum() - across.sum(0) - across.sum(1) + across.diagonal()
    left_out = without / ((n - 1) * (n - 2)) - 2 * apart / (n - 1) ** 2
    error = math.sqrt((n - 1) / n * float((left_out - left_out.mean()).square().sum()))
    return whole, error


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() @ b.double().T / a.shape[1] + 1) ** 3


def _squared_mmd(within: float, across: float, n: int) -> float:
    return within / (n * (n - 1)) - 2 * across / n**2


def precision(real: Tensor, other: Tensor) -> float:
    """Share of ``other`` (n, d) that lies inside the manifold of ``real`` (m, d) (Kynkaanniemi et al. 2019)."""
    return float(inside(real, other).double().mean())


def inside(real: Tensor, other: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Whether each of ``other`` (n, d) lies inside the manifold of ``real`` (m, d): bool (n,).

    The manifold is the union of balls around the real features that reach to their third nearest neighbour.
    """
    own = torch.cdist(real.double(), real.double()).fill_diagonal_(0)
    radius = own.kthvalue(neighbours + 1, dim=1).values
    return (torch.cdist(other.double(), real.double()) <= radius).any(1)
