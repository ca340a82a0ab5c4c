"""The growing discriminator of ProGAN (table 2 of the paper) and the equalised learning rate, for training only."""

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import register_parametrization

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Scale(nn.Module):
    """A parametrisation: the stored weight times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.factor


def equalise(layer: Layer, gain: float = math.sqrt(2), fan_in: int | None = None) -> Layer:
    """Draw weights from N(0, 1) and scale them by gain / sqrt(fan in) at run time (section 4.1); biases start at 0."""
    nn.init.normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    register_parametrization(layer, "weight", Scale(gain / math.sqrt(fan_in or layer.weight[0].numel())))
    return layer


def minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Append one channel: the deviation over groups of images, averaged over features and pixels (section 3)."""
    n, _, h, w = x.shape
    group = math.gcd(group, n)
    grouped = x.reshape(group, n // group, -1)
    deviation = (grouped.var(0, correction=0) + 1e-8).sqrt().mean(1)
    return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(n, 1, h, w)], 1)


class Discriminator(nn.Module):
    """Images (n, c, s, s) of the finest size in use to logits (n,); `widths` are the channels at 4, 8, ... pixels."""

    def __init__(self, widths: tuple[int, ...], image_channels: int = 3) -> None:
        super().__init__()
        first = widths[0]
        self.from_rgb = nn.ModuleList(equalise(nn.Conv2d(image_channels, width, 1)) for width in widths)
        self.blocks = nn.ModuleList(
            nn.ModuleList([equalise(nn.Conv2d(b, b, 3, padding=1)), equalise(nn.Conv2d(b, a, 3, padding=1))])
            for a, b in pairwise(widths)
        )
        self.conv = equalise(nn.Conv2d(first + 1, first, 3, padding=1))
        self.dense = equalise(nn.Linear(first * 16, first))
        self.out = equalise(nn.Linear(first, 1), gain=1.0)

    def forward(self, images: Tensor, fade: float = 0.0) -> Tensor:
        """Logits; `fade` is the share of the next coarser size, as in the generator's `lod`."""
        top = int(math.log2(images.shape[2])) - 2
        x = F.leaky_relu(self.from_rgb[top](images), 0.2)
        for level in range(top, 0, -1):
            for conv in self.blocks[level - 1].children():
                x = F.leaky_relu(conv(x), 0.2)
            x = F.avg_pool2d(x, 2)
            if level == top and fade:
                coarse = F.leaky_relu(self.from_rgb[top - 1](F.avg_pool2d(images, 2)), 0.2)
                x = torch.lerp(x, coarse, fade)
        x = F.leaky_relu(self.conv(minibatch_deviation(x)), 0.2)
        logits: Tensor = self.out(F.leaky_relu(self.dense(x.flatten(1)), 0.2))
        return logits[:, 0]
