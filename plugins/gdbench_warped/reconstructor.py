"""The reconstructor: which path was taken, and how far, from two images (LeNet form of arXiv:2002.03754)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST = 32
"""Three valid 5x5 convolutions need 32 pixels: smaller images are enlarged."""


class Reconstructor(nn.Module):
    """Images and shifted images (n, c, h, w) -> logits (n, k) and shifts (n,)."""

    def __init__(self, channels: int, size: int, k: int) -> None:
        super().__init__()
        widths = (2 * channels, 6, 16, 120)
        blocks = [
            [nn.Conv2d(inner, outer, 5), nn.BatchNorm2d(outer), nn.MaxPool2d(2) if outer < 120 else nn.Identity()]
            for inner, outer in pairwise(widths)
        ]
        self.body = nn.Sequential(*(layer for block in blocks for layer in (*block, nn.ReLU())))
        self.direction, self.shift = (
            nn.Sequential(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.ReLU(), nn.Linear(84, outputs))
            for outputs in (k, 1)
        )
        self.enlarge = size < LEAST

    def forward(self, images: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        pair = torch.cat([images, shifted], 1)
        features = self.body(F.interpolate(pair, LEAST) if self.enlarge else pair).mean((2, 3))
        return self.direction(features), self.shift(features)[:, 0]
