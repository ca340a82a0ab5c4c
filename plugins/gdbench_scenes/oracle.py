"""The two oracles: small networks of different build that read factors, mask and features off a 32 px image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from gdbench import fitted, load_network
from gdbench_scenes.factors import CODE_WIDTH, FACTORS, decode

RESOLUTION = 32
FEATURES = 128
WEIGHTS = Path(__file__).parent / "weights"

Which = Literal["a", "b"]


def convolution(inputs: int, outputs: int, size: int, stride: int, activation: type[nn.Module]) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), activation())


def head(channels: int, activation: type[nn.Module]) -> nn.Sequential:
    """Features (n, FEATURES) of maps (n, channels, 4, 4); keeps positions, so that x and y can be read."""
    squeeze = convolution(channels, 32, 1, 1, activation)
    return nn.Sequential(squeeze, nn.Flatten(), nn.Linear(32 * 4 * 4, FEATURES), activation())


class Plain(nn.Module):
    """Oracle A: plain 3x3 convolutions and ReLU; the mask is painted top-down at full resolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 96)
        self.stem = convolution(3, widths[0], 3, 1, nn.ReLU)
        self.stages = nn.ModuleList(
            nn.Sequential(convolution(i, o, 3, 2, nn.ReLU), convolution(o, o, 3, 1, nn.ReLU))
            for i, o in pairwise(widths)
        )
        self.features = head(widths[-1], nn.ReLU)
        self.code = nn.Linear(FEATURES, CODE_WIDTH)
        self.laterals = nn.ModuleList(nn.Conv2d(width, 16, 1) for width in widths)
        self.smooth = nn.ModuleList(convolution(16, 16, 3, 1, nn.ReLU) for _ in widths[1:])
        self.mask = nn.Conv2d(16, 1, 1)

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Maps at 32, 16, 8 and 4 px."""
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def paint(self, maps: Sequence[Tensor]) -> Tensor:
        """Mask logits (n, 32, 32)."""
        top = self.laterals[-1](maps[-1])
        for level in (2, 1, 0):
            top = self.smooth[level](interpolate(top, scale_factor=2) + self.laterals[level](maps[level]))
        logits: Tensor = self.mask(top)[:, 0]
        return logits


class Residual(nn.Module):
    """Oracle B: strided 5x5 stem, residual blocks and SiLU; the mask comes out of sub-pixel channels at 16 px."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 56, 96)
        self.stem = convolution(3, widths[0], 5, 2, nn.SiLU)
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in widths)
        self.down = nn.ModuleList(convolution(i, o, 3, 2, nn.SiLU) for i, o in pairwise(widths))
        self.features = head(widths[-1], nn.SiLU)
        self.code = nn.Linear(FEATURES, CODE_WIDTH)
        self.context = nn.Conv2d(widths[1] + widths[2], 24, 1)
        self.mask = nn.Sequential(convolution(widths[0] + 24, 32, 3, 1, nn.SiLU), nn.Conv2d(32, 4, 3, padding=1))

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Maps at 16, 8 and 4 px."""
        maps = [self.blocks[0](self.stem(images))]
        for down, block in zip(self.down, self.blocks[1:], strict=False):
            maps.append(block(down(maps[-1])))
        return maps

    def paint(self, maps: Sequence[Tensor]) -> Tensor:
        """Mask logits (n, 32, 32)."""
        coarse = self.context(torch.cat([maps[1], interpolate(maps[2], scale_factor=2)], 1))
        fine = self.mask(torch.cat([maps[0], interpolate(coarse, scale_factor=2)], 1))
        return pixel_shuffle(fine, 2)[:, 0]


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions, at constant width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width, 3, 1, nn.SiLU)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(x + self.second(self.first(x)))
        return out


Network = Plain | Residual
NETWORKS: Mapping[str, type[Plain] | type[Residual]] = {"a": Plain, "b": Residual}


@dataclass(frozen=True)
class SceneOracle:
    """A trained network behind gdbench's `Oracle` protocol; images on the network's device, read at (3, 32, 32).

    passed: for each factor, whether its held-out figure in the card reaches the card's bar.
    """

    network: Network
    passed: Mapping[str, bool]

    def read(self, images: Tensor) -> dict[str, Tensor]:
        """Factor name -> values or turns (n,), or class probabilities (n, classes)."""
        code: Tensor = self.network.code(self.network.features(self._maps(images)[-1]))
        return decode(code)

    def embed(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Feature maps (n, c, h, w) at 16, 8 and 4 px, and features (n, FEATURES)."""
        maps = self._maps(images)
        return maps[-3:], self.network.features(maps[-1])

    def mask(self, images: Tensor) -> Tensor:
        """Probability of the object at each pixel: (n, h, w)."""
        mask = self.network.paint(self._maps(images)).sigmoid()
        return fitted(mask[:, None], (1, *images.shape[2:]))[:, 0]

    def _maps(self, images: Tensor) -> list[Tensor]:
        images = fitted(images, (3, RESOLUTION, RESOLUTION))
        return self.network.trunk(images.contiguous(memory_format=torch.channels_last))


def paths(which: Which, folder: Path = WEIGHTS) -> tuple[Path, Path]:
    """The weights and the card of an oracle."""
    stem = f"oracle-{which}-{RESOLUTION}"
    return folder / f"{stem}.safetensors", folder / f"{stem}.json"


def load(which: Which, device: torch.device, folder: Path = WEIGHTS) -> SceneOracle:
    """The shipped oracle, frozen, in evaluation mode.

    Raises MissingFile without weights or card, IntegrityError where the weights are not those of the card.
    """
    remedy = f"python -m gdbench_scenes.train_oracle --which {which}"
    build: Callable[[], Network] = NETWORKS[which]
    network, card = load_network(build, paths(which, folder)[0], device, remedy)
    return SceneOracle(network, {factor.name: card["passed"][factor.name] for factor in FACTORS})
