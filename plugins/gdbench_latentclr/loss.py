"""The contrastive loss on feature divergences (arXiv:2104.00820), with two corrections of the official code."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def contrast(divergences: Tensor, temperature: float) -> Tensor:
    """Divergences (k, n, width) of n codes along k directions -> loss of each (k, n), zero where nothing is told apart.

    -log of mean_j exp(s(i k, j k) / T) over mean_{j, l != k} exp(|s(i k, j l)| / T), s the cosine, j != i above.
    The official code multiplies by T, and takes |s| above too, so that a direction could do one thing to some codes and
    the opposite to others. Below |s| is right: the opposite of a direction is no new direction.
    Means in place of sums change the loss by a constant.
    """
    k, n, _ = divergences.shape
    rows = F.normalize(divergences, dim=2).flatten(0, 1)
    similarity = rows @ rows.T / temperature
    direction = torch.arange(k, device=rows.device).repeat_interleave(n)
    same = direction[:, None] == direction
    itself = torch.eye(k * n, dtype=torch.bool, device=rows.device)
    positive = similarity.masked_fill(~same | itself, -torch.inf).logsumexp(1) - math.log(n - 1)
    negative = similarity.abs().masked_fill(same, -torch.inf).logsumexp(1) - math.log(n * (k - 1))
    return (negative - positive).view(k, n)
