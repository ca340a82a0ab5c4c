"""The reconstructors: which direction was shifted, and how far, from two images (section 3.2 of the paper)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import PluginError

Name = Literal["lenet", "resnet18", "auto"]
LEAST = 32
"""The LeNet's three valid 5x5 convolutions need 32 pixels: smaller images are enlarged."""

LARGEST = 64
"""The largest images for which the authors took the LeNet."""


class LeNet(nn.Module):
    """Three convolutions (6, 16, 120 channels), average pooling, and one hidden layer of 84 before each output."""

    def __init__(self, channels: int, k: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 6, 5),
            nn.BatchNorm2d(6),
            nn.MaxPool2d(2),  # before the ReLU, with which it commutes: a quarter of the work
            nn.ReLU(),
            nn.Conv2d(6, 16, 5),
            nn.BatchNorm2d(16),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(16, 120, 5),
            nn.BatchNorm2d(120),
            nn.ReLU(),
        )
        self.direction, self.shift = _head(k), _head(1)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(pair).mean((2, 3))
        return self.direction(features), self.shift(features)[:, 0]


def _head(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.ReLU(), nn.Linear(84, outputs))


class ResNet18(nn.Module):
    """torchvision's ResNet-18, not pretrained, first convolution for ``channels`` inputs, two linear outputs."""

    def __init__(self, channels: int, k: int) -> None:
        super().__init__()
        from torchvision.models import resnet18

        self.body = resnet18(weights=None)
        self.body.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.body.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.body.fc = nn.Identity()
        self.direction, self.shift = nn.Linear(512, k), nn.Linear(512, 1)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(pair)
        return self.direction(features), self.shift(features)[:, 0]


class Reconstructor(nn.Module):
    """Images and shifted images (n, c, h, w) -> logits (n, k) and shifts (n,).

    Raises PluginError for a ``resize`` that is too small for the LeNet.
    """

    def __init__(self, name: Name, channels: int, size: int, k: int, resize: int | None) -> None:
        super().__init__()
        if name == "auto":
            name = "lenet" if size <= LARGEST else "resnet18"
        if name == "lenet" and resize is not None and resize < LEAST:
            raise PluginError(f"resize={resize}: the LeNet needs {LEAST} pixels or more")
        self.network = {"lenet": LeNet, "resnet18": ResNet18}[name](2 * channels, k)
        wanted = max(LEAST, resize or size) if name == "lenet" else resize or size
        self.resize = None if wanted == size else wanted
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        pair = torch.cat([images, shifted], 1)
        if self.resize is not None:
            pair = F.interpolate(pair, self.resize)
        answer: tuple[Tensor, Tensor] = self.network(pair)
        return answer
