"""The losses of the paper on variations: what an encoder says has changed from an image to the shifted one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NEGATIVES = 2 / 3
"""Share of the negatives in the loss: 64 of the official 96 keys of a query."""


def variations(before: Tensor, after: Tensor) -> Tensor:
    """Codes of images and of shifted images (n, width) -> unit rows of |after - before|: both signs look alike."""
    return F.normalize((after - before).abs(), dim=1)


def contrast(rows: Tensor, index: Tensor, flip: float) -> Tensor:
    """Binary cross-entropy, cosines as logits, between variations (n, width) of directions ``index`` (n,); a scalar.

    The target is 1 within a direction. Between two it is 0, or the cosine itself where that exceeds ``flip`` (hard
    negative flipping). A variation is not compared with itself. Positives and negatives are averaged apart.
    """
    cosine = rows @ rows.T
    same = index[:, None] == index
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    flipped = cosine.detach() * (cosine.detach() > flip)
    loss = F.binary_cross_entropy_with_logits(cosine, torch.where(same, 1.0, flipped), reduction="none")
    return (1 - NEGATIVES) * loss[same & ~itself].mean() + NEGATIVES * loss[~same].mean()


def entropy(rows: Tensor) -> Tensor:
    """Mean entropy of softmax(variation): low where one entry of the encoder's code holds the whole change."""
    return -(rows.softmax(1) * rows.log_softmax(1)).sum(1).mean()
