"""Writes BigGAN checkpoints in the official layouts, with random weights and the official names. Test use only."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gdbench_biggan import Params
from gdbench_biggan.formats import convert
from gdbench_biggan.generator import BigGAN, load
from torch import Tensor

from gdbench import save_weights

State = dict[str, Tensor]


def draw(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape) * scale).float()


def ajbrock(
    rng: np.random.Generator,
    multiples: tuple[int, ...],
    ch: int = 8,
    chunk: int = 3,
    shared: int = 5,
    classes: int = 7,
    attention: tuple[int, ...] = (),
    trained: bool = True,
    hierarchical: bool = True,
) -> State:
    """A generator of ajbrock/BigGAN-PyTorch: input and output multiples of `ch`; shared=0 is the CIFAR form."""
    state: State = {}
    widths = [ch * m for m in multiples]

    def normed(name: str, *shape: int, bias: bool = True) -> None:
        state[f"{name}.weight"] = draw(rng, *shape)
        state[f"{name}.u0"] = draw(rng, 1, shape[0])
        if trained:
            state[f"{name}.sv0"] = draw(rng, 1)
        if bias:
            state[f"{name}.bias"] = draw(rng, shape[0], scale=0.3)

    def statistics(name: str, channels: int) -> None:
        state[f"{name}.stored_mean"] = draw(rng, channels, scale=0.1)
        state[f"{name}.stored_var"] = draw(rng, channels).square() * 5 + 2

    def norm(name: str, channels: int) -> None:
        statistics(name, channels)
        for part in ("gain", "bias"):
            if shared:
                normed(f"{name}.{part}", channels, shared + (chunk if hierarchical else 0), bias=False)
            else:
                state[f"{name}.{part}.weight"] = draw(rng, classes, channels, scale=0.3)

    if shared:
        state["shared.weight"] = draw(rng, classes, shared)
    normed("linear", 16 * widths[0], chunk)
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        normed(f"blocks.{i}.0.conv1", b, a, 3, 3)
        normed(f"blocks.{i}.0.conv2", b, b, 3, 3)
        normed(f"blocks.{i}.0.conv_sc", b, a, 1, 1)
        norm(f"blocks.{i}.0.bn1", a)
        norm(f"blocks.{i}.0.bn2", b)
        if i in attention:
            for name, shape in (("theta", (b // 8, b)), ("phi", (b // 8, b)), ("g", (b // 2, b)), ("o", (b, b // 2))):
                normed(f"blocks.{i}.1.{name}", *shape, 1, 1, bias=False)
            state[f"blocks.{i}.1.gamma"] = torch.tensor(0.7)
    statistics("output_layer.0", widths[-1])
    state["output_layer.0.gain"] = draw(rng, widths[-1], scale=0.5)
    state["output_layer.0.bias"] = draw(rng, widths[-1], scale=0.3)
    normed("output_layer.2", 3, widths[-1], 3, 3)
    return state


def deep(
    rng: np.random.Generator,
    layers: tuple[tuple[bool, int, int], ...],
    cw: int = 4,
    z: int = 5,
    classes: int = 7,
    attention: int = 2,
    n_stats: int = 51,
) -> State:
    """A generator of huggingface/pytorch-pretrained-BigGAN; `layers` as in its config.json."""
    state: State = {"embeddings.weight": draw(rng, z, classes)}

    def normed(name: str, *shape: int, bias: bool = True) -> None:
        state[f"{name}.weight_orig"] = draw(rng, *shape)
        state[f"{name}.weight_u"] = torch.nn.functional.normalize(draw(rng, shape[0]), dim=0)
        v = state[f"{name}.weight_u"] @ state[f"{name}.weight_orig"].flatten(1)
        state[f"{name}.weight_v"] = torch.nn.functional.normalize(v, dim=0)
        if bias:
            state[f"{name}.bias"] = draw(rng, shape[0], scale=0.3)

    def statistics(name: str, channels: int) -> None:
        state[f"{name}.running_means"] = draw(rng, n_stats, channels, scale=0.1)
        state[f"{name}.running_vars"] = draw(rng, n_stats, channels).square() * 5 + 2

    normed("generator.gen_z", 16 * layers[0][1] * cw, 2 * z)
    places = [j for j in range(len(layers) + 1) if j != attention]
    for j, (_, a, b) in zip(places, layers, strict=True):
        name, hidden = f"generator.layers.{j}", a * cw // 4
        shapes = ((hidden, a * cw, 1, 1), (hidden, hidden, 3, 3), (hidden, hidden, 3, 3), (b * cw, hidden, 1, 1))
        for i, shape in enumerate(shapes):
            statistics(f"{name}.bn_{i}", shape[1])
            normed(f"{name}.bn_{i}.scale", shape[1], 2 * z, bias=False)
            normed(f"{name}.bn_{i}.offset", shape[1], 2 * z, bias=False)
            normed(f"{name}.conv_{i}", *shape)
    c = layers[attention - 1][2] * cw
    for part, shape in (("theta", (c // 8, c)), ("phi", (c // 8, c)), ("g", (c // 2, c)), ("o_conv", (c, c // 2))):
        normed(f"generator.layers.{attention}.snconv1x1_{part}", *shape, 1, 1, bias=False)
    state[f"generator.layers.{attention}.gamma"] = torch.tensor([0.7])
    statistics("generator.bn", layers[-1][2] * cw)
    state["generator.bn.weight"] = draw(rng, layers[-1][2] * cw, scale=0.3)
    state["generator.bn.bias"] = draw(rng, layers[-1][2] * cw, scale=0.3)
    normed("generator.conv_to_rgb", cw, layers[-1][2] * cw, 3, 3)
    return state


def save_folder(
    folder: Path, state: State, layers: tuple[tuple[bool, int, int], ...] | None, eps: float = 1e-4
) -> Path:
    """The folder of a BigGAN-deep checkpoint, with config.json where `layers` are given."""
    folder.mkdir()
    torch.save(state, folder / "pytorch_model.bin")
    if layers is not None:
        (folder / "config.json").write_text(
            json.dumps({"layers": layers, "eps": eps, "n_stats": 51, "class_embed_dim": 128})
        )
    return folder


def load_official(path: Path, **params: Any) -> BigGAN:
    """The generator of an official file or folder, by way of a converted file beside it."""
    ours = path.with_name("converted.safetensors")
    save_weights(ours, *convert(path))
    return load(ours, Params(**params), torch.device("cpu"))
