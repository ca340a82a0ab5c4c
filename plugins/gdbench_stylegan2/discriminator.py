"""The residual discriminator of StyleGAN2 (figure 7c of the paper), needed for training only."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench_stylegan2.networks import GAIN, Dense, blur


class Conv(nn.Module):
    """Equalised convolution, optionally blurred and halved, with bias and leaky ReLU or bare (`activate=False`)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, down: bool = False, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.down = down

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        gain = gain * (GAIN if self.bias is not None else 1.0)
        weight = self.weight * (gain / math.sqrt(self.weight[0].numel()))
        kernel = self.weight.shape[2]
        if self.down:
            x = F.conv2d(blur(x, 2 if kernel == 3 else 1), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=kernel // 2)
        return x if self.bias is None else F.leaky_relu(x + (self.bias * gain)[:, None, None], 0.2)


class ResidualBlock(nn.Module):
    """Halve the resolution; the sum of both paths is divided by sqrt(2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = Conv(inputs, inputs, 3)
        self.conv1 = Conv(inputs, outputs, 3, down=True)
        self.skip = Conv(inputs, outputs, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        kept: Tensor = self.skip(x, math.sqrt(0.5))
        added: Tensor = self.conv1(self.conv0(x), math.sqrt(0.5))
        return kept + added


def minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Append one channel: the standard deviation over groups of images, averaged over features and pixels.

    Section 3 of ProGAN. Neighbours form a group, so that a batch of reals followed by fakes never mixes the two.
    """
    n, _, h, w = x.shape
    group = math.gcd(group, n)
    grouped = x.reshape(n // group, group, -1)
    deviation = (grouped.var(1, correction=0) + 1e-8).sqrt().mean(1)
    return torch.cat([x, deviation.repeat_interleave(group)[:, None, None, None].expand(n, 1, h, w)], 1)


class Discriminator(nn.Module):
    """Images (n, c, r, r) to logits (n,); `widths` are the channels at r, r/2, ... 4.

    `path_length`, the running mean of equation 4, lives here because the discriminator is what training alone needs.
    """

    path_length: Tensor

    def __init__(self, widths: tuple[int, ...], image_channels: int = 3) -> None:
        super().__init__()
        last = widths[-1]
        self.from_rgb = Conv(image_channels, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))
        self.conv = Conv(last + 1, last, 3)
        self.dense = Dense(last * 16, last)
        self.out = Dense(last, 1)
        self.register_buffer("path_length", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.from_rgb(x))
        x = self.conv(minibatch_deviation(x)).flatten(1)
        logits: Tensor = self.out(F.leaky_relu(self.dense(x), 0.2) * GAIN)
        return logits[:, 0]
