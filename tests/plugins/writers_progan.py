"""Writes ProGAN checkpoints in the five official layouts, with random weights and the official names. Test use only."""

from __future__ import annotations

import itertools
import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]
WIDTHS = (8, 8, 6, 4)


class Dice:
    """Random tensors."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy(self.rng.standard_normal(shape) * scale).float()


def pairs(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    """(in, out) of every 3x3 convolution, from the second of 4x4."""
    sizes = [(widths[0], widths[0])]
    for a, b in itertools.pairwise(widths):
        sizes += [(a, b), (b, b)]
    return sizes


def ptrblck(widths: tuple[int, ...] = WIDTHS, z: int = 7, seed: int = 0) -> State:
    dice, state = Dice(seed), {}

    def layer(name: str, *shape: int) -> None:
        state[f"{name}.conv.weight"] = dice(*shape)
        state[f"{name}.wscale.scale"] = torch.tensor([(2 / np.prod(shape[1:])) ** 0.5 * 1.03]).float()
        state[f"{name}.wscale.b"] = dice(shape[0], scale=0.3)

    layer("features.0", widths[0], z, 4, 4)
    for i, (a, b) in enumerate(pairs(widths)):
        layer(f"features.{i + 1}", b, a, 3, 3)
    layer("output", 3, widths[-1], 1, 1)
    return state


def gandissect(widths: tuple[int, ...] = WIDTHS, z: int = 7, seed: int = 0) -> State:
    r = 4 * 2 ** (len(widths) - 1)
    names = [(f"features.{i}.", f"layer{i + 1}.") for i in range(2 * len(widths))] + [("output.", f"output_{r}x{r}.")]
    state = {}
    for old, new in names:
        found = {
            k: v for k, v in ptrblck(widths, z, seed).items() if k.startswith(old) and not k.endswith("scale.scale")
        }
        state |= {new + k.removeprefix(old): v for k, v in found.items()}
    return state


def genforce(
    widths: tuple[int, ...] = WIDTHS,
    z: int = 7,
    seed: int = 0,
    fused: bool = False,
    lod: float = 0.0,
    channels: int = 3,
) -> State:
    dice, state = Dice(seed), {"lod": torch.tensor(lod)}
    state["layer0.weight"], state["layer0.bias"] = dice(widths[0], z, 4, 4), dice(widths[0], scale=0.3)
    for i, (a, b) in enumerate(pairs(widths)):
        up = i % 2 == 1
        state[f"layer{i + 1}.weight"] = dice(a, b, 3, 3) if up and fused else dice(b, a, 3, 3)
        state[f"layer{i + 1}.bias"] = dice(b, scale=0.3)
    for i, width in enumerate(widths):
        state[f"output{i}.weight"], state[f"output{i}.bias"] = dice(channels, width, 1, 1), dice(channels, scale=0.3)
    return state


def gan_zoo(
    widths: tuple[int, ...] = WIDTHS, z: int = 7, seed: int = 0, module: bool = True, **config: Any
) -> tuple[State, dict[str, Any]]:
    """The averaged generator, and the fields of the configuration."""
    dice, state, infix = Dice(seed), {}, ".module" if module else ""

    def layer(name: str, *shape: int) -> None:
        state[f"{name}{infix}.weight"], state[f"{name}{infix}.bias"] = dice(*shape), dice(shape[0])

    layer("formatLayer", 16 * widths[0], z)
    layer("groupScale0.0", widths[0], widths[0], 3, 3)
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        layer(f"scaleLayers.{i}.0", b, a, 3, 3)
        layer(f"scaleLayers.{i}.1", b, b, 3, 3)
    for i, width in enumerate(widths):
        layer(f"toRGBLayers.{i}", 3, width, 1, 1)
    fields = {"alpha": 0.0, "leakyReluLeak": 0.2, "perChannelNormalization": True, "equalizedlR": True}
    return state, {**fields, "lossCriterion": "WGANGP", "depthScale0": widths[0], **config}


def save_gan_zoo(path: Path, state: State, config: Mapping[str, Any] | None, as_object: bool = True) -> Path:
    """`{config, netG, netD, avgG}`, with the configuration as an object of the repository's class or as a dict."""
    content = {"netG": {k: v + 1 for k, v in state.items()}, "netD": {}, "avgG": state}
    if config is not None and as_object:
        with _stranger("models.utils.config", "BaseConfig") as made:
            made.__dict__.update(config)
            torch.save({"config": made, **content}, path)
    else:
        torch.save(content if config is None else {"config": dict(config), **content}, path)
    return path


def nvidia(
    widths: tuple[int, ...] = WIDTHS, z: int = 7, seed: int = 0, fused: bool = True, lod: float = 0.0
) -> dict[str, np.ndarray[Any, Any]]:
    """The variables of Gs."""
    dice, variables = Dice(seed), {"lod": torch.tensor(lod)}

    def layer(name: str, *shape: int) -> None:
        out = shape[2] if name.endswith("_up") else shape[3]
        variables[f"{name}/weight"], variables[f"{name}/bias"] = dice(*shape), dice(out, scale=0.3)

    variables["4x4/Dense/weight"], variables["4x4/Dense/bias"] = dice(z, 16 * widths[0]), dice(widths[0], scale=0.3)
    layer("4x4/Conv", 3, 3, widths[0], widths[0])
    for level, (a, b) in enumerate(itertools.pairwise(widths), 1):
        r = 4 * 2**level
        layer(*((f"{r}x{r}/Conv0_up", 3, 3, b, a) if fused else (f"{r}x{r}/Conv0", 3, 3, a, b)))
        layer(f"{r}x{r}/Conv1", 3, 3, b, b)
    for level, width in enumerate(widths):
        layer(f"ToRGB_lod{len(widths) - 1 - level}", 1, 1, width, 3)
    return {name: tensor.numpy() for name, tensor in variables.items()}


def save_nvidia(path: Path, variables: Mapping[str, np.ndarray[Any, Any]], **options: Any) -> Path:
    """The tuple (G, D, Gs) of `tfutil.Network`."""
    with _stranger("tfutil", "Network") as made, path.open("wb") as file:
        shifted = [(name, value + 1) for name, value in variables.items()]
        raw, averaged = type(made)(), made
        for network, values in ((raw, shifted), (averaged, list(variables.items()))):
            network.__dict__.update(
                version=2, name="G", static_kwargs=options, build_module_src="", build_func_name="G_paper"
            )
            network.variables = values
        pickle.dump((raw, raw, averaged), file, protocol=2)
    return path


class _stranger:
    """An object whose class claims to be `name` of `module`, importable only while it is written."""

    def __init__(self, module: str, name: str) -> None:
        parts = module.split(".")
        self.modules = [".".join(parts[: i + 1]) for i in range(len(parts))]
        self.kind: Any = type(name, (), {"__module__": module, "__qualname__": name})

    def __enter__(self) -> Any:
        for name in self.modules:
            sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[self.modules[-1]], self.kind.__name__, self.kind)
        return self.kind()

    def __exit__(self, *_: object) -> None:
        for name in self.modules:
            del sys.modules[name]
