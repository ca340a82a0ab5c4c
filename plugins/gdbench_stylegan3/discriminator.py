"""A residual discriminator in the manner of StyleGAN2's, which the paper trains with; needed for training only."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench_stylegan3.networks import GAIN, SLOPE, Dense

GROUP = 4  # images whose deviation is one channel
HALF = math.sqrt(0.5)


class Conv(nn.Module):
    """Convolution with an equalised learning rate, and bias and leaky ReLU where `activate` says so."""

    def __init__(self, inputs: int, outputs: int, kernel: int, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        weight = self.weight * (gain / math.sqrt(self.weight[0].numel()))
        if self.bias is None:
            return F.conv2d(x, weight)
        x = F.conv2d(x, weight * GAIN, self.bias * (gain * GAIN), padding=weight.shape[2] // 2)
        return F.leaky_relu(x, SLOPE)


class ResidualBlock(nn.Module):
    """Halve the side by means of four pixels; both paths count half."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = Conv(inputs, inputs, 3)
        self.second = Conv(inputs, outputs, 3)
        self.skip = Conv(inputs, outputs, 1, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        kept: Tensor = self.skip(F.avg_pool2d(x, 2), HALF)
        added: Tensor = F.avg_pool2d(self.second(self.first(x), HALF), 2)
        return kept + added


class Discriminator(nn.Module):
    """Images (n, c, r, r) to logits (n,); `widths` are the channels at r, r/2, ... 4."""

    def __init__(self, widths: tuple[int, ...], image_channels: int = 3) -> None:
        super().__init__()
        last = widths[-1]
        self.from_rgb = Conv(image_channels, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))
        self.conv = Conv(last + 1, last, 3)
        self.dense = Dense(last * 16, last)
        self.out = Dense(last, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(self.from_rgb(images))
        x = self.conv(with_deviation(x)).flatten(1)
        logits: Tensor = self.out(F.leaky_relu(self.dense(x), SLOPE) * GAIN)
        return logits[:, 0]


def with_deviation(x: Tensor) -> Tensor:
    """Append to (n, c, h, w) a channel that tells how much the neighbours in a batch differ.

    Neighbours form a group, so that a batch of reals followed by fakes never mixes the two.
    """
    grouped = torch.unflatten(x, 0, (-1, math.gcd(GROUP, len(x))))
    deviation = (grouped.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3)).repeat_interleave(grouped.shape[1])
    return torch.cat([x, deviation[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)
