"""SNGAN ResNet generators (Miyato et al. 2018, arXiv:1802.05957) in plain PyTorch, and a discriminator for training."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Upsampling = Literal["nearest", "bilinear"]


@dataclass(frozen=True)
class Config:
    """Sizes of a generator; `widths` are the channels at the first resolution and after each block.

    `bypass` is the kernel size of the shortcut of each block, 0 for none; `classes` is 0 without labels.
    All but `upsampling` follow from weights.
    """

    widths: tuple[int, ...]
    latent_dim: int
    bypass: tuple[int, ...]
    base: int = 4
    image_channels: int = 3
    upsampling: Upsampling = "nearest"
    classes: int = 0

    @property
    def resolution(self) -> int:
        """Side length of the images in pixels."""
        return self.base << len(self.bypass)


def infer_config(state: Mapping[str, Tensor], upsampling: Upsampling = "nearest") -> Config:
    """Read every size off a state dict; how the blocks upsample is not in the tensors."""
    widths: list[int] = []
    bypass: list[int] = []
    while (key := f"blocks.{len(bypass)}.conv1.weight") in state:
        widths.append(state[key].shape[1])
        shortcut = state.get(f"blocks.{len(bypass)}.bypass.weight")
        bypass.append(0 if shortcut is None else shortcut.shape[2])
    if not widths or "linear.weight" not in state:
        raise ValueError("not an SNGAN state dict: no linear.weight or no blocks.0.conv1.weight")
    rows, latent_dim = state["linear.weight"].shape
    embedding = state.get("blocks.0.embed1.weight")
    return Config(
        widths=(*widths, state["conv.weight"].shape[1]),
        latent_dim=latent_dim,
        bypass=tuple(bypass),
        base=round((rows / widths[0]) ** 0.5),
        image_channels=state["conv.weight"].shape[0],
        upsampling=upsampling,
        classes=0 if embedding is None else embedding.shape[0],
    )


def upsample(x: Tensor, mode: Upsampling) -> Tensor:
    """Double height and width (bilinear without aligned corners)."""
    return F.interpolate(x, scale_factor=2, mode=mode, align_corners=None if mode == "nearest" else False)


def conv_of_nearest(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A 3x3 convolution of the nearest-upsampled image, as one transposed convolution.

    4 instead of 9 products per pixel.
    Repeating pixels is a transposed convolution with a 2x2 kernel of ones, so both compose to
    a 4x4 kernel of stride 2.
    """
    weight = F.pad(conv.weight, (1, 1, 1, 1))
    kernel = weight[..., 1:, 1:] + weight[..., 1:, :-1] + weight[..., :-1, 1:] + weight[..., :-1, :-1]
    return F.conv_transpose2d(x, kernel.flip(2, 3).transpose(0, 1), conv.bias, stride=2, padding=1)


def conditioned(x: Tensor, embed: nn.Embedding | None, labels: Tensor | None) -> Tensor:
    """Normalised maps times the gains plus the biases of their class (Dumoulin et al. 2017): halves of an embedding.

    labels: class indices (n,), or soft class vectors (n, classes) that mix the embeddings.
    """
    if embed is None:
        return x
    if labels is None:
        raise ValueError("this SNGAN is conditional: labels are needed")
    gain, bias = (labels @ embed.weight if labels.is_floating_point() else embed(labels)).chunk(2, 1)
    return torch.addcmul(bias[..., None, None], x, gain[..., None, None])


class Block(nn.Module):
    """bn ReLU up conv bn ReLU conv, plus the upsampled input through the bypass; bn is conditional with classes."""

    def __init__(self, inputs: int, outputs: int, bypass: int, upsampling: Upsampling, classes: int = 0) -> None:
        super().__init__()
        self.bn1, self.bn2 = (nn.BatchNorm2d(width, affine=not classes) for width in (inputs, outputs))
        self.embed1 = nn.Embedding(classes, 2 * inputs) if classes else None
        self.embed2 = nn.Embedding(classes, 2 * outputs) if classes else None
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bypass = nn.Conv2d(inputs, outputs, bypass, padding=bypass // 2) if bypass else None
        self.upsampling = upsampling

    def shortcut(self, x: Tensor) -> Tensor:
        """The other path; a 1x1 convolution commutes with upsampling and is cheaper before it."""
        if self.bypass is None:
            return upsample(x, self.upsampling)
        if self.bypass.kernel_size == (1, 1):
            return upsample(self.bypass(x), self.upsampling)
        kept: Tensor = self.bypass(upsample(x, self.upsampling))
        return kept

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y = F.relu(conditioned(self.bn1(x), self.embed1, labels))
        nearest = self.upsampling == "nearest"
        y = conv_of_nearest(y, self.conv1) if nearest else self.conv1(upsample(y, self.upsampling))
        y = self.conv2(F.relu(conditioned(self.bn2(y), self.embed2, labels)))
        return self.shortcut(x).add(y)


class Generator(nn.Module):
    """Latents (n, latent_dim) to images (n, c, r, r) in (-1, 1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.latent_dim, config.widths[0] * config.base**2)
        sizes = zip(config.widths[:-1], config.widths[1:], config.bypass, strict=True)
        self.blocks = nn.ModuleList(Block(a, b, kernel, config.upsampling, config.classes) for a, b, kernel in sizes)
        self.bn = nn.BatchNorm2d(config.widths[-1])
        self.conv = nn.Conv2d(config.widths[-1], config.image_channels, 3, padding=1)

    def forward(self, z: Tensor, record: dict[str, Tensor] | None = None, labels: Tensor | None = None) -> Tensor:
        """Render; `record` collects the activations after the linear layer and each block: `linear`, `block0`, ..."""
        x = self.linear(z).unflatten(1, (self.config.widths[0], self.config.base, self.config.base))
        x = x.contiguous(memory_format=torch.channels_last)
        features = {"linear": x}
        for i, block in enumerate(self.blocks):
            x = features[f"block{i}"] = block(x, labels)
        if record is not None:
            record.update(features)
        return torch.tanh(self.conv(F.relu(self.bn(x))))


class Discriminator(nn.Module):
    """Images (n, c, r, r) to logits (n,): strided convolutions under spectral norm, as table 3 of the paper, no resnet.

    `widths` are the channels at r, r/2, ... 4. (A ResNet of equal width costs three times as much per step.)
    """

    def __init__(self, widths: tuple[int, ...], image_channels: int = 3) -> None:
        super().__init__()
        layers = [spectral_norm(nn.Conv2d(image_channels, widths[0], 3, padding=1)), nn.LeakyReLU(0.1)]
        for a, b in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
            layers += [spectral_norm(nn.Conv2d(b, b, 3, padding=1)), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers)
        self.out = spectral_norm(nn.Linear(widths[-1] * 16, 1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.layers(x).flatten(1))
        return logits[:, 0]
