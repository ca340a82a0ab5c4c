"""The reconstructor of Voynov and Babenko (2020): which direction, and how far, from the image before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gdbench import fitted, initialised

LEAST = 32
WIDTH = 2  # of the paper's LeNet form
SHIFT_WEIGHT = 0.25  # lambda of the paper's loss

Form = Callable[[int, int], nn.Module]
"""(channels, classes) -> reconstructor."""


@dataclass(frozen=True)
class Batch:
    """n pairs: images (n, 2c, h, w), direction (n,) int64, signed shift (n,)."""

    images: Tensor
    direction: Tensor
    shift: Tensor


def enlarged(images: Tensor) -> Tensor:
    """Images (n, c, h, w), enlarged where a side has less than the 32 pixels that three valid 5x5 convolutions need."""
    channels, *sides = images.shape[1:]
    return fitted(images, (channels, *(max(side, LEAST) for side in sides)))


class LeNet(nn.Module):
    """The paper's reconstructor for small images: three 5x5 convolutions, mean over positions, two heads."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        a, b, c, d = 3 * WIDTH, 8 * WIDTH, 60 * WIDTH, 42 * WIDTH
        self.features = nn.Sequential(
            *(nn.Conv2d(2 * channels, a, 5), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(a, b, 5), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(b, c, 5), nn.BatchNorm2d(c), nn.ReLU()),
        )
        self.direction = nn.Sequential(nn.Linear(c, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Linear(d, classes))
        self.shift = nn.Sequential(nn.Linear(c, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Linear(d, 1))

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and signed shift (n,) of pairs (n, 2c, h, w)."""
        features = self.features(enlarged(pairs)).mean((2, 3))
        return self.direction(features), self.shift(features)[:, 0]


class ResNet(nn.Module):
    """The paper's reconstructor for large images: ResNet-18 (He et al. 2016) on both images, two linear heads."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        from torchvision.models import resnet18

        self.features = resnet18(weights=None)
        self.features.conv1 = nn.Conv2d(2 * channels, 64, 7, stride=2, padding=3, bias=False)
        self.features.fc = nn.Identity()
        self.direction, self.shift = nn.Linear(512, classes), nn.Linear(512, 1)

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and signed shift (n,) of pairs (n, 2c, h, w)."""
        features = self.features(pairs)
        return self.direction(features), self.shift(features)[:, 0]


def train(network: nn.Module, batch: Callable[[int], Batch], steps: int, rate: float) -> None:
    """Train ``network`` on ``batch(step)`` with the paper's loss; it is left in evaluation mode.

    Adam at ``rate``, falling linearly to zero over the last fifth of the steps.
    """
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, 5 * (1 - step / steps)))
    for step in range(steps):
        pairs = batch(step)
        logits, shift = network(pairs.images)
        loss = cross_entropy(logits, pairs.direction) + SHIFT_WEIGHT * (shift - pairs.shift).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()


def fresh(form: Form, channels: int, classes: int, device: torch.device, rng: np.random.Generator) -> nn.Module:
    """A reconstructor of ``form`` with initial weights drawn from ``rng``, torch's own law."""
    return initialised(rng, lambda: form(channels, classes)).to(device)
