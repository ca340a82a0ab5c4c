"""The reconstructors: which path was taken, and how far, from two images (those of arXiv:2002.03754)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Name = Literal["lenet", "resnet18", "auto"]
LEAST = 32
"""Three valid 5x5 convolutions need 32 pixels: smaller images are enlarged."""

LARGEST = 64
"""The largest images for which the authors took the LeNet."""


def reconstructor(name: Name, channels: int, size: int, k: int) -> nn.Module:
    """Images and shifted images (n, channels, size, size) -> logits (n, k) and shifts (n,)."""
    if name == "lenet" or (name == "auto" and size <= LARGEST):
        return LeNet(channels, size, k)
    return ResNet18(channels, k)


class LeNet(nn.Module):
    """Three convolutions, average pooling, and one hidden layer before each output."""

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


class ResNet18(nn.Module):
    """torchvision's ResNet-18, not pretrained, its first convolution for both images, two linear outputs."""

    def __init__(self, channels: int, k: int) -> None:
        super().__init__()
        from torchvision.models import resnet18

        self.body = resnet18(weights=None)
        self.body.conv1 = nn.Conv2d(2 * channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.body.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.body.fc = nn.Identity()
        self.direction, self.shift = nn.Linear(512, k), nn.Linear(512, 1)

    def forward(self, images: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(torch.cat([images, shifted], 1))
        return self.direction(features), self.shift(features)[:, 0]
