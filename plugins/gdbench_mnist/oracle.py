"""The two oracles: digit classifiers of different build, and measures of the shape at different grey levels.

A measures the ink at half grey, B the mean of the ink at a quarter and at three quarters: they agree where strokes have
edges, and part where an image is a blur.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from gdbench import Factor, fitted, load_network
from gdbench_mnist.idx import CLASSES
from gdbench_mnist.measures import NAMES, measure

RESOLUTION = 32
SHAPE = (1, RESOLUTION, RESOLUTION)
FEATURES = 64
WEIGHTS = Path(__file__).parent / "weights"
MOVES = {
    "thickness": ("thins", "thickens"),
    "slant": ("leans left", "leans right"),
    "width": ("narrows", "widens"),
    "height": ("gets shorter", "gets taller"),
    "area": ("loses ink", "gains ink"),
}
FACTORS = (
    Factor("digit", "class", classes=tuple("0123456789")),
    *(Factor(name, moves=MOVES[name]) for name in NAMES),
)

Which = Literal["a", "b"]
LEVELS: Mapping[Which, tuple[float, ...]] = {"a": (0.5,), "b": (0.25, 0.75)}


def convolution(inputs: int, outputs: int, size: int, stride: int, activation: type[nn.Module]) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), activation())


class Plain(nn.Module):
    """Oracle A: plain 3x3 convolutions and ReLU; features keep positions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (12, 24, 40, 64)
        self.stem = convolution(1, widths[0], 3, 1, nn.ReLU)
        self.stages = nn.ModuleList(
            nn.Sequential(convolution(i, o, 3, 2, nn.ReLU), convolution(o, o, 3, 1, nn.ReLU))
            for i, o in pairwise(widths)
        )
        squeeze = convolution(widths[-1], 16, 1, 1, nn.ReLU)
        self.features = nn.Sequential(squeeze, nn.Flatten(), nn.Linear(16 * 4 * 4, FEATURES), nn.ReLU())
        self.digit = nn.Linear(FEATURES, CLASSES)

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Maps at 16, 8 and 4 px."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            maps.append(x := stage(x))
        return maps


class Residual(nn.Module):
    """Oracle B: strided 5x5 stem, residual blocks and SiLU; features are means over positions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 48)
        self.stem = convolution(1, widths[0], 5, 2, nn.SiLU)
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in widths)
        self.down = nn.ModuleList(convolution(i, o, 3, 2, nn.SiLU) for i, o in pairwise(widths))
        pool = nn.AdaptiveAvgPool2d(1)
        self.features = nn.Sequential(pool, nn.Flatten(), nn.Linear(widths[-1], FEATURES), nn.SiLU())
        self.digit = nn.Linear(FEATURES, CLASSES)

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Maps at 16, 8 and 4 px."""
        maps = [self.blocks[0](self.stem(images))]
        for down, block in zip(self.down, self.blocks[1:], strict=False):
            maps.append(block(down(maps[-1])))
        return maps


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
NETWORKS: Mapping[Which, type[Plain] | type[Residual]] = {"a": Plain, "b": Residual}


@dataclass(frozen=True)
class MnistOracle:
    """A trained classifier and its grey levels behind gdbench's `Oracle` protocol; images are read at (1, 32, 32).

    passed: for each factor, whether its held-out figure in the card reaches the card's bar.
    """

    network: Network
    levels: tuple[float, ...]
    passed: Mapping[str, bool]

    def read(self, images: Tensor) -> dict[str, Tensor]:
        """`digit`: probabilities (n, 10); thickness, slant, width, height, area (n,) as in `measures.measure`."""
        images = fitted(images, SHAPE)
        logits = self.network.digit(self.network.features(self._maps(images)[-1]))
        return {"digit": logits.softmax(1), **measure(images, self.levels)}

    def embed(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Feature maps (n, c, h, w) at 16, 8 and 4 px, and features (n, FEATURES)."""
        maps = self._maps(images)
        return maps, self.network.features(maps[-1])

    def mask(self, images: Tensor) -> Tensor:
        """How surely each pixel is ink (n, h, w): the mean over the levels of a ramp half a grey range wide."""
        grey = (images.clamp(-1, 1).mean(1) + 1) / 2
        return torch.stack([(2 * (grey - level) + 0.5).clamp(0, 1) for level in self.levels]).mean(0)

    def _maps(self, images: Tensor) -> list[Tensor]:
        return self.network.trunk(fitted(images, SHAPE).contiguous(memory_format=torch.channels_last))


def paths(which: Which, folder: Path = WEIGHTS) -> tuple[Path, Path]:
    """The weights and the card of an oracle."""
    return folder / f"oracle-{which}.safetensors", folder / f"oracle-{which}.json"


def load(which: Which, device: torch.device, folder: Path = WEIGHTS) -> MnistOracle:
    """The shipped oracle, frozen, in evaluation mode.

    Raises MissingFile without weights or card, IntegrityError where the weights are not those of the card.
    """
    remedy = f"python -m gdbench_mnist.train_oracle --which {which}"
    build: Callable[[], Network] = NETWORKS[which]
    network, card = load_network(build, paths(which, folder)[0], device, remedy)
    return MnistOracle(network, LEVELS[which], {factor.name: card["passed"][factor.name] for factor in FACTORS})
