"""Random StyleGAN3 files in the official layout, and what they must render, computed from the official tensors.

Nothing here uses the package under test: a file is filled with random numbers under the official names, its schedule
and filters come from numpy and scipy, and `Reference` renders by the official order of operations in float64, one
kernel at a time.
"""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import convolve2d, correlate2d, firwin, kaiser_atten, kaiser_beta
from scipy.signal.windows import kaiser
from scipy.special import j1
from torch import Tensor, nn

from tests.plugins.writers_stylegan2 import Dice, Persistent, module, nvidia_modules

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sizes:
    """A small StyleGAN3, config t unless `radial`."""

    radial: bool = False
    kernel: int = 3
    resolution: int = 32
    layers: int = 5
    base: int = 48
    most: int = 5
    margin: int = 10
    z_dim: int = 7
    w_dim: int = 8
    mapping: int = 2
    classes: int = 0
    channels: int = 3
    clamp: float | None = 256.0
    scale: float = 0.25
    lr: float = 0.01
    taps: int = 6
    first_cutoff: float = 2.0


R = Sizes(radial=True, kernel=1)


@dataclass(frozen=True)
class Schedule:
    """What each layer has, from the first to the one that makes the image; arrays of one number a layer."""

    cutoffs: Array
    rates: Array
    half_widths: Array
    sides: Array
    channels: Array

    @staticmethod
    def of(sizes: Sizes) -> Schedule:
        critical, nyquist = 2, sizes.resolution / 2
        share = np.minimum(np.arange(sizes.layers + 1) / (sizes.layers - critical), 1)
        cutoffs = sizes.first_cutoff * (nyquist / sizes.first_cutoff) ** share
        stops = 2**2.1 * (nyquist * 2**0.3 / 2**2.1) ** share
        rates = np.exp2(np.ceil(np.log2(np.minimum(2 * stops, sizes.resolution))))
        sides = rates + 2 * sizes.margin
        sides[-2:] = sizes.resolution
        channels = np.rint(np.minimum(sizes.base / 2 / cutoffs, sizes.most))
        channels[-1] = sizes.channels
        return Schedule(cutoffs, rates, np.maximum(stops, rates / 2) - cutoffs, sides, channels)


def low_pass(taps: int, cutoff: float, width: float, rate: float, radial: bool = False) -> Array | None:
    """A filter as scipy designs it; the radial one is its window around a jinc."""
    if taps == 1:
        return None
    if not radial:
        return np.asarray(firwin(numtaps=taps, cutoff=cutoff, width=width, fs=rate))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    r = np.sqrt(x[:, None] ** 2 + x[None] ** 2)
    window = kaiser(taps, kaiser_beta(kaiser_atten(taps, width / (rate / 2))))
    made = j1(2 * cutoff * np.pi * r) / (np.pi * r) * window[:, None] * window[None]
    return np.asarray(made / made.sum())


@dataclass(frozen=True)
class Layer:
    """The facts of one layer as the official class keeps them."""

    name: str
    rgb: bool
    critical: bool
    channels: tuple[int, int]
    sides: tuple[int, int]
    kernel: int
    up: int
    down: int
    up_filter: Array | None
    down_filter: Array | None

    @property
    def padding(self) -> tuple[int, int]:
        taps = [1 if f is None else len(f) for f in (self.up_filter, self.down_filter)]
        total = (self.sides[1] - 1) * self.down + 1 - (self.sides[0] + self.kernel - 1) * self.up + sum(taps) - 2
        low = math.floor((total + self.up) / 2)
        return low, total - low


def layers(sizes: Sizes) -> list[Layer]:
    s, made = Schedule.of(sizes), []
    for i in range(sizes.layers + 1):
        before, rgb, critical = max(i - 1, 0), i == sizes.layers, i >= sizes.layers - 2
        rate = max(s.rates[before], s.rates[i]) * (1 if rgb else 2)
        up, down = int(np.rint(rate / s.rates[before])), int(np.rint(rate / s.rates[i]))
        taps = [sizes.taps * factor if factor > 1 and not rgb else 1 for factor in (up, down)]
        radial = sizes.radial and not critical
        made.append(
            Layer(
                f"L{i}_{int(s.sides[i])}_{int(s.channels[i])}",
                rgb,
                critical,
                (int(s.channels[before]), int(s.channels[i])),
                (int(s.sides[before]), int(s.sides[i])),
                1 if rgb else sizes.kernel,
                up,
                down,
                low_pass(taps[0], s.cutoffs[before], 2 * s.half_widths[before], rate),
                low_pass(taps[1], s.cutoffs[i], 2 * s.half_widths[i], rate, radial),
            )
        )
    return made


@dataclass(frozen=True)
class Reference:
    """Renders the tensors of one file, float32 under their official names."""

    sizes: Sizes
    tensors: dict[str, Tensor]

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self.tensors[name].double().numpy())

    def with_tensors(self, **changed: Tensor) -> Reference:
        """The same with other tensors; dots in names are written as two underlines."""
        return replace(self, tensors=self.tensors | {name.replace("__", "."): t for name, t in changed.items()})

    def map(self, z: Tensor, labels: Tensor | None = None) -> Array:
        """z (n, d) to w, not truncated."""
        x = _normalised(z.double().numpy())
        if self.sizes.classes and labels is not None:
            y = labels.double().numpy() @ self["mapping.embed.weight"].T / math.sqrt(self.sizes.classes)
            x = np.concatenate([x, _normalised(y + self["mapping.embed.bias"])], 1)
        lr = self.sizes.lr
        for i in range(self.sizes.mapping):
            weight = self[f"mapping.fc{i}.weight"]
            x = x @ weight.T * (lr / math.sqrt(weight.shape[1])) + lr * self[f"mapping.fc{i}.bias"]
            x = np.where(x < 0, 0.2 * x, x) * math.sqrt(2)
        return x

    def render(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of z, without truncation."""
        return self.synthesise(np.repeat(self.map(z, labels)[:, None], self.sizes.layers + 2, 1))

    def synthesise(self, ws: Array) -> Tensor:
        """Images of one w for the input and one for each layer: (n, layers + 2, w_dim)."""
        x = self.fourier(ws[:, 0])
        for i, layer in enumerate(layers(self.sizes)):
            x = self.layer(x, ws[:, i + 1], layer)
        return torch.from_numpy(x * self.sizes.scale)

    def affine(self, name: str, w: Array) -> Array:
        return w @ self[f"{name}.affine.weight"].T / math.sqrt(self.sizes.w_dim) + self[f"{name}.affine.bias"]

    def fourier(self, w: Array) -> Array:
        """The input's features, one sample after another."""
        rate = float(Schedule.of(self.sizes).rates[0])
        side = int(Schedule.of(self.sizes).sides[0])
        centre = (np.arange(side) + 0.5) / rate - side / rate / 2
        x, y = np.meshgrid(centre, centre)
        weight, made = self["synthesis.input.weight"], []
        for t in self.affine("synthesis.input", w):
            c, s, tx, ty = t / np.hypot(t[0], t[1])
            turned, moved = np.eye(3), np.eye(3)
            turned[:2, :2] = [[c, -s], [s, c]]
            moved[:2, 2] = -tx, -ty
            whole = turned @ moved @ self["synthesis.input.transform"]
            phases = self["synthesis.input.phases"] + self["synthesis.input.freqs"] @ whole[:2, 2]
            freqs = self["synthesis.input.freqs"] @ whole[:2, :2]
            fade = 1 - (np.linalg.norm(freqs, axis=1) - self.sizes.first_cutoff) / (rate / 2 - self.sizes.first_cutoff)
            waves = [np.sin(2 * np.pi * (f[0] * x + f[1] * y + p)) for f, p in zip(freqs, phases, strict=True)]
            waves = [wave * np.clip(a, 0, 1) for wave, a in zip(waves, fade, strict=True)]
            made.append(np.tensordot(weight / math.sqrt(len(weight)), np.stack(waves), 1))
        return np.stack(made)

    def layer(self, x: Array, w: Array, layer: Layer) -> Array:
        """One layer on a batch; the styles are normalised over all of it, as the official one does."""
        name = f"synthesis.{layer.name}"
        styles, weight = self.affine(name, w), self[f"{name}.weight"]
        if layer.rgb:
            styles = styles / math.sqrt(weight[0].size)
        else:
            weight = weight / np.sqrt((weight**2).mean((1, 2, 3), keepdims=True))
            styles = styles / np.sqrt((styles**2).mean())
        made = []
        for sample, style in zip(x, styles, strict=True):
            kernels = weight * style[None, :, None, None]
            if not layer.rgb:
                kernels = kernels / np.sqrt((kernels**2).sum((1, 2, 3), keepdims=True) + 1e-8)
            kernels = kernels / math.sqrt(self[f"{name}.magnitude_ema"])
            planes = [
                sum(correlate2d(plane, k, "full") for plane, k in zip(sample, kernel, strict=True))
                for kernel in kernels
            ]
            biased = np.stack(planes) + self[f"{name}.bias"][:, None, None]
            made.append(np.stack([self.activated(plane, layer) for plane in biased]))
        return np.stack(made)

    def activated(self, plane: Array, layer: Layer) -> Array:
        """One channel through zero insertion, filter, activation, clamp, filter and decimation."""
        name = f"synthesis.{layer.name}"
        stuffed = np.zeros([side * layer.up for side in plane.shape])
        stuffed[:: layer.up, :: layer.up] = plane
        x = _padded(stuffed, *layer.padding)
        if layer.up_filter is not None:
            up = self[f"{name}.up_filter"] * layer.up
            x = convolve2d(convolve2d(x, up[:, None], "valid"), up[None], "valid")
        x = x if layer.rgb else np.where(x < 0, 0.2 * x, x) * math.sqrt(2)
        if self.sizes.clamp is not None:
            x = np.clip(x, -self.sizes.clamp, self.sizes.clamp)
        if layer.down_filter is not None:
            down = self[f"{name}.down_filter"]
            x = convolve2d(x, down if down.ndim == 2 else np.outer(down, down), "valid")
        return np.asarray(x[:: layer.down, :: layer.down])


def _normalised(x: Array) -> Array:
    return np.asarray(x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-8))


def _padded(x: Array, low: int, high: int) -> Array:
    x = np.pad(x, [(max(low, 0), max(high, 0))] * 2)
    crop = slice(max(-low, 0), len(x) - max(-high, 0))
    return x[crop, crop]


def drawn(sizes: Sizes, seed: int = 0) -> Reference:
    """Random numbers for every tensor."""
    dice, w = Dice(seed), sizes.w_dim
    tensors = {"mapping.w_avg": dice(w)}
    if sizes.classes:
        tensors |= {"mapping.embed.weight": dice(w, sizes.classes), "mapping.embed.bias": dice(w)}
    for i in range(sizes.mapping):
        inputs = w if i else sizes.z_dim + (w if sizes.classes else 0)
        tensors[f"mapping.fc{i}.weight"] = dice(w, inputs, scale=1 / sizes.lr)
        tensors[f"mapping.fc{i}.bias"] = dice(w, scale=0.1 / sizes.lr)
    c = layers(sizes)[0].channels[0]
    waves = dice(c, 2)
    waves = waves / waves.norm(dim=1, keepdim=True) * torch.linspace(0.3, sizes.first_cutoff, c)[:, None]
    tensors |= {
        "synthesis.input.weight": dice(c, c),
        "synthesis.input.affine.weight": dice(4, w, scale=0.3),
        "synthesis.input.affine.bias": dice(4, scale=0.2) + torch.tensor([1.0, 0, 0, 0]),
        "synthesis.input.transform": torch.eye(3),
        "synthesis.input.freqs": waves,
        "synthesis.input.phases": torch.from_numpy(dice.rng.uniform(-0.5, 0.5, c).astype(np.float32)),
    }
    for layer in layers(sizes):
        tensors |= {f"synthesis.{layer.name}.{part}": tensor for part, tensor in _of_layer(layer, w, dice).items()}
    return Reference(sizes, tensors)


def _of_layer(layer: Layer, w_dim: int, dice: Dice) -> dict[str, Tensor]:
    inputs, outputs = layer.channels
    made = {
        "weight": dice(outputs, inputs, layer.kernel, layer.kernel),
        "bias": dice(outputs, scale=0.3),
        "affine.weight": dice(inputs, w_dim),
        "affine.bias": dice(inputs, scale=0.2, shift=1.0),
        "magnitude_ema": dice(1, scale=0.5).reshape(()).exp(),
    }
    for part, kernel in (("up_filter", layer.up_filter), ("down_filter", layer.down_filter)):
        made |= {} if kernel is None else {part: torch.from_numpy(kernel.astype(np.float32))}
    return made


# the pickle ----------------------------------------------------------------------------------------------------------


def content(made: Reference) -> dict[str, Any]:
    """The top-level dict of a `.pkl`; call it, and the pickler, inside `nvidia_modules()`."""
    easy = sys.modules["dnnlib.util"].EasyDict
    options = easy(num_fp16_res=4, num_bf16_res=0)
    return {
        "G": generator(made),
        "D": module("Discriminator", {"b4": module("DiscriminatorEpilogue", {})}),
        "G_ema": generator(made),
        "training_set_kwargs": easy(class_name="training.dataset.ImageFolderDataset", path="/data"),
        "augment_pipe": None,
        "options": options,
    }


def generator(made: Reference) -> Persistent:
    """`G_ema` as the official classes pickle themselves."""
    sizes = made.sizes
    names = {"mapping": _mapping(made), "synthesis": _synthesis(made)}
    attributes = {"z_dim": sizes.z_dim, "c_dim": sizes.classes, "w_dim": sizes.w_dim, "num_ws": sizes.layers + 2}
    return module("Generator", names, img_resolution=sizes.resolution, img_channels=sizes.channels, **attributes)


def _mapping(made: Reference) -> Persistent:
    sizes = made.sizes
    parts: dict[str, Any] = {"w_avg": made.tensors["mapping.w_avg"]}
    if sizes.classes:
        parts["embed"] = _dense(made, "mapping.embed", "linear", 1.0)
    parts |= {f"fc{i}": _dense(made, f"mapping.fc{i}", "lrelu", sizes.lr) for i in range(sizes.mapping)}
    return module("MappingNetwork", parts, z_dim=sizes.z_dim, c_dim=sizes.classes, num_layers=sizes.mapping)


def _synthesis(made: Reference) -> Persistent:
    sizes, schedule = made.sizes, Schedule.of(made.sizes)
    parts = {
        "affine": _dense(made, "synthesis.input", "linear", 1.0, "affine."),
        **_parts(made, "synthesis.input", ("weight",), ("transform", "freqs", "phases")),
    }
    side = int(schedule.sides[0])
    facts = {
        "channels": len(made.tensors["synthesis.input.freqs"]),
        "size": np.broadcast_to(np.asarray(side), [2]),
        "sampling_rate": schedule.rates[0],
        "bandwidth": schedule.cutoffs[0],
    }
    modules = {"input": module("SynthesisInput", parts, w_dim=sizes.w_dim, **facts)}
    modules |= {layer.name: _synthesis_layer(made, layer) for layer in layers(sizes)}
    attributes = {
        "num_layers": sizes.layers,
        "num_critical": 2,
        "margin_size": sizes.margin,
        "output_scale": sizes.scale,
        "num_fp16_res": 4,
        "layer_names": [layer.name for layer in layers(sizes)],
    }
    return module("SynthesisNetwork", modules, w_dim=sizes.w_dim, num_ws=sizes.layers + 2, **attributes)


def _synthesis_layer(made: Reference, layer: Layer) -> Persistent:
    name = f"synthesis.{layer.name}"
    parts = {
        "affine": _dense(made, name, "linear", 1.0, "affine."),
        **_parts(made, name, ("weight", "bias"), ("magnitude_ema", "up_filter", "down_filter")),
    }
    facts = {
        "is_torgb": layer.rgb,
        "is_critically_sampled": layer.critical,
        "use_fp16": False,
        "in_channels": layer.channels[0],
        "out_channels": layer.channels[1],
        "in_size": np.broadcast_to(np.asarray(layer.sides[0]), [2]),
        "out_size": np.broadcast_to(np.asarray(layer.sides[1]), [2]),
        "conv_kernel": layer.kernel,
        "conv_clamp": made.sizes.clamp,
        "up_factor": layer.up,
        "down_factor": layer.down,
        "up_taps": 1 if layer.up_filter is None else len(layer.up_filter),
        "down_taps": 1 if layer.down_filter is None else len(layer.down_filter),
        "down_radial": made.sizes.radial and not layer.critical,
        "padding": [*layer.padding, *layer.padding],
        "in_half_width": np.float64(1.5),
    }
    return module("SynthesisLayer", parts, w_dim=made.sizes.w_dim, **facts)


def _parts(made: Reference, name: str, parameters: tuple[str, ...], buffers: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {part: nn.Parameter(made.tensors[f"{name}.{part}"]) for part in parameters}
    return found | {part: made.tensors.get(f"{name}.{part}") for part in buffers}


def _dense(made: Reference, name: str, activation: str, lr: float, prefix: str = "") -> Persistent:
    parts = {part: nn.Parameter(made.tensors[f"{name}.{prefix}{part}"]) for part in ("weight", "bias")}
    gain = lr / np.sqrt(parts["weight"].shape[1])
    return module("FullyConnectedLayer", parts, weight_gain=gain, bias_gain=lr, activation=activation)


def write(path: Path, made: Reference, protocol: int = 4, changes: Mapping[str, Any] | None = None) -> Reference:
    """Write a `.pkl`; changes: dotted name of a module and `:class_name` or an attribute -> another value."""
    with nvidia_modules(), path.open("wb") as file:
        whole = content(made)
        for place, value in (changes or {}).items():
            _change(whole["G_ema"], place, value)
        pickle.Pickler(file, protocol).dump(whole)
    return made


def _change(part: Persistent, place: str, value: Any) -> None:
    name, _, attribute = place.partition(":")
    for step in filter(None, name.split(".")):
        part = part.state["_modules"][step]
    if attribute == "class_name":
        part.class_name = value
    else:
        part.state[attribute] = value
