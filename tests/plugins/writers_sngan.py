"""Random SNGAN files in both official layouts, and what they must render.

That is computed from the official tensors in float64; nothing here uses the package under test.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-5  # of batch normalisation


@dataclass(frozen=True)
class Sizes:
    """A small SNGAN: channels at the first resolution and after each block."""

    widths: tuple[int, ...] = (8, 6, 4)
    latent: int = 5
    base: int = 4
    channels: int = 3
    classes: int = 0


class Dice:
    """Random float32 tensors from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
        return torch.from_numpy(self.rng.normal(shift, scale, shape).astype(np.float32))

    def layer(self, name: str, outputs: int, inputs: int, *kernel: int) -> dict[str, Tensor]:
        """Weight and bias of a convolution or a linear layer."""
        scale = (inputs * int(np.prod(kernel or (1,)))) ** -0.5
        return {f"{name}.weight": self(outputs, inputs, *kernel, scale=scale), f"{name}.bias": self(outputs, scale=0.1)}

    def norm(self, name: str, channels: int) -> dict[str, Tensor]:
        """A batch normalisation with lived-in statistics."""
        made = {f"{name}.weight": self(channels, shift=1, scale=0.2), f"{name}.bias": self(channels, scale=0.2)}
        return made | self.statistics(name, channels)

    def statistics(self, name: str, channels: int) -> dict[str, Tensor]:
        """Running mean and variance."""
        return {
            f"{name}.running_mean": self(channels, scale=0.2),
            f"{name}.running_var": self(channels, scale=0.2, shift=1).abs() + 0.1,
            f"{name}.num_batches_tracked": torch.tensor(7),
        }


# GANLatentDiscovery ---------------------------------------------------------------------------------------------------


def latent_discovery(sizes: Sizes, seed: int = 0) -> OrderedDict[str, Tensor]:
    """generator.pt: every convolution of a block twice, under both of its names."""
    dice, blocks = Dice(seed), len(sizes.widths) - 1
    state = dice.layer("model.0", sizes.widths[0] * sizes.base**2, sizes.latent)
    for i in range(blocks):
        a, b = sizes.widths[i : i + 2]
        name = f"model.{2 + i}"
        conv1, conv2 = dice.layer("conv1", b, a, 3, 3), dice.layer("conv2", b, b, 3, 3)
        state |= {f"{name}.{key}": value for key, value in (conv1 | conv2).items()}
        state |= dice.norm(f"{name}.model.0", a) | dice.norm(f"{name}.model.4", b)
        for number, conv in (("3", conv1), ("6", conv2)):
            state |= {f"{name}.model.{number}.{key.split('.')[1]}": value for key, value in conv.items()}
        if a != b:
            state |= dice.layer(f"{name}.bypass.1", b, a, 3, 3)
    state |= dice.norm(f"model.{2 + blocks}", sizes.widths[-1])
    state |= dice.layer(f"model.{4 + blocks}", sizes.channels, sizes.widths[-1], 3, 3)
    return OrderedDict(state)


def render_latent_discovery(state: Mapping[str, Tensor], sizes: Sizes, z: Tensor) -> Tensor:
    """bn ReLU nearest-x2 conv bn ReLU conv, plus nearest-x2 of the input through the bypass."""
    x = _linear(state, "model.0", z).reshape(len(z), sizes.widths[0], sizes.base, sizes.base)
    blocks = len(sizes.widths) - 1
    for i in range(blocks):
        name = f"model.{2 + i}"
        y = _conv(state, f"{name}.model.3", _nearest(_norm(state, f"{name}.model.0", x).relu()))
        y = _conv(state, f"{name}.model.6", _norm(state, f"{name}.model.4", y).relu())
        skip = _nearest(x)
        x = y + (_conv(state, f"{name}.bypass.1", skip) if f"{name}.bypass.1.weight" in state else skip)
    return _conv(state, f"model.{4 + blocks}", _norm(state, f"model.{2 + blocks}", x).relu()).tanh()


def write_folder(folder: Path, state: Mapping[str, Tensor], file: str = "generator.pt", **arguments: Any) -> None:
    """A folder with arguments and weights."""
    folder.mkdir()
    (folder / "args.json").write_text(json.dumps({"model": "sn_resnet32", "latent_dim": 5, **arguments}))
    torch.save(state, folder / file, _use_new_zipfile_serialization=False)


# mimicry --------------------------------------------------------------------------------------------------------------


def mimicry(sizes: Sizes, seed: int = 0) -> dict[str, Any]:
    """netG.pth; with classes, that of a cGAN-PD."""
    dice, blocks = Dice(seed), len(sizes.widths) - 1

    def norm(name: str, channels: int) -> dict[str, Tensor]:
        if not sizes.classes:
            return dice.norm(name, channels)
        gains = dice(sizes.classes, channels, shift=1, scale=0.3)
        embedding = torch.cat([gains, dice(sizes.classes, channels, scale=0.3)], 1)
        return {**dice.statistics(f"{name}.bn", channels), f"{name}.embed.weight": embedding}

    state = dice.layer("l1", sizes.widths[0] * sizes.base**2, sizes.latent)
    for i in range(blocks):
        a, b = sizes.widths[i : i + 2]
        name = f"block{2 + i}"
        state |= dice.layer(f"{name}.c1", b, a, 3, 3) | dice.layer(f"{name}.c2", b, b, 3, 3)
        state |= norm(f"{name}.b1", a) | norm(f"{name}.b2", b) | dice.layer(f"{name}.c_sc", b, a, 1, 1)
    state |= dice.norm(f"b{2 + blocks}", sizes.widths[-1])
    state |= dice.layer(f"c{2 + blocks}", sizes.channels, sizes.widths[-1], 3, 3)
    return {"model_state_dict": OrderedDict(state), "optimizer_state_dict": {"state": {}}, "global_step": 100000}


def render_mimicry(content: Mapping[str, Any], sizes: Sizes, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """b1 ReLU bilinear-x2 c1 b2 ReLU c2, plus c_sc of the bilinear-x2 input; labels (n,) are class indices."""
    state = content["model_state_dict"]
    x = _linear(state, "l1", z).reshape(len(z), sizes.widths[0], sizes.base, sizes.base)
    blocks = len(sizes.widths) - 1
    for i in range(blocks):
        name = f"block{2 + i}"
        y = _conv(state, f"{name}.c1", _bilinear(_norm(state, f"{name}.b1", x, labels).relu()))
        y = _conv(state, f"{name}.c2", _norm(state, f"{name}.b2", y, labels).relu())
        x = y + _conv(state, f"{name}.c_sc", _bilinear(x))
    return _conv(state, f"c{2 + blocks}", _norm(state, f"b{2 + blocks}", x).relu()).tanh()


# what both compute ----------------------------------------------------------------------------------------------------


def _linear(state: Mapping[str, Tensor], name: str, z: Tensor) -> Tensor:
    return z.double() @ state[f"{name}.weight"].double().T + state[f"{name}.bias"].double()


def _conv(state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    weight = state[f"{name}.weight"].double()
    return F.conv2d(x, weight, state[f"{name}.bias"].double(), padding=weight.shape[-1] // 2)


def _norm(state: Mapping[str, Tensor], name: str, x: Tensor, labels: Tensor | None = None) -> Tensor:
    if f"{name}.embed.weight" in state:
        gain, bias = state[f"{name}.embed.weight"].double()[labels].chunk(2, 1)
        name = f"{name}.bn"
    else:
        gain, bias = (state[f"{name}.{part}"].double()[None] for part in ("weight", "bias"))
    mean, variance = (state[f"{name}.running_{part}"].double()[None] for part in ("mean", "var"))
    scale = gain / (variance + EPSILON).sqrt()
    return x * scale[..., None, None] + (bias - mean * scale)[..., None, None]


def _nearest(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def _bilinear(x: Tensor) -> Tensor:
    """Weights 3/4 and 1/4 of the two nearest rows, then columns; the border is repeated."""
    for axis in (2, 3):
        before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)], axis)
        after = torch.cat([x.narrow(axis, 1, x.shape[axis] - 1), x.narrow(axis, x.shape[axis] - 1, 1)], axis)
        pair = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = pair.flatten(axis, axis + 1)
    return x
