"""Random StyleGAN2 files in every official layout, and what they must render, computed from the official tensors.

Nothing here uses the package under test: each layout is filled with random numbers under its own names, and `Reference`
renders these by the formulas of the paper and of each format, in float64, one sample and one kernel at a time.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Sizes:
    """A small StyleGAN2."""

    widths: tuple[int, ...] = (12, 10, 6)
    z_dim: int = 8
    w_dim: int = 8
    mapping: int = 3
    classes: int = 0
    channels: int = 3
    noise: bool = True
    clamp: float | None = None
    lr: float = 0.01

    @property
    def convs(self) -> list[tuple[int, int, int]]:
        """(in, out, side) of every styled convolution."""
        made = [(self.widths[0], self.widths[0], 4)]
        for level in range(1, len(self.widths)):
            before, width = self.widths[level - 1 : level + 1]
            made += [(before, width, 4 << level), (width, width, 4 << level)]
        return made


@dataclass(frozen=True)
class Layer:
    """A modulated convolution as its format stores it."""

    weight: Tensor
    bias: Tensor
    style_weight: Tensor
    style_bias: Tensor
    strength: Tensor | None = None
    noise: Tensor | None = None


@dataclass(frozen=True)
class Reference:
    """Renders the tensors of one file.

    flip: the stored upsampling kernels are mirrored. plus: what is added to the stored style bias. scaled: kernels are
    scaled by 1/sqrt(fan in) before demodulation.
    """

    sizes: Sizes
    dense: list[tuple[Tensor, Tensor]]
    const: Tensor
    convs: list[Layer]
    rgbs: list[Layer]
    flip: bool = False
    plus: float = 0.0
    scaled: bool = True
    embed: tuple[Tensor, Tensor] | None = None
    w_avg: Tensor | None = None

    def map(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """z (n, d) to w, float64."""
        x = _normalised(z.double())
        if self.embed is not None and labels is not None:
            weight, bias = (t.double() for t in self.embed)
            y = labels.double() @ weight.T / math.sqrt(weight.shape[1]) + bias
            x = torch.cat([x, _normalised(y)], 1)
        for weight, bias in self.dense:
            x = x @ weight.double().T * self.sizes.lr / math.sqrt(weight.shape[1]) + self.sizes.lr * bias.double()
            x = math.sqrt(2) * torch.where(x < 0, 0.2 * x, x)
        return x

    def render(self, z: Tensor, labels: Tensor | None = None, noise: bool = True) -> Tensor:
        """Images of z with the noise of the file, or without."""
        return torch.stack([self._one(w, noise) for w in self.map(z, labels)])

    def _one(self, w: Tensor, noise: bool) -> Tensor:
        x, image = self.const.double()[None], None
        for i, layer in enumerate(self.convs):
            x = self._conv(x, w, layer, up=i % 2 == 1, noise=noise)
            if i % 2 == 0:
                rgb = self._rgb(x, w, self.rgbs[i // 2])
                image = rgb if image is None else _resample(_zeros_between(image), before=2, after=1) + rgb
        assert image is not None
        return image[0]

    def _style(self, w: Tensor, layer: Layer) -> Tensor:
        return layer.style_weight.double() @ w / math.sqrt(len(w)) + layer.style_bias.double() + self.plus

    def _conv(self, x: Tensor, w: Tensor, layer: Layer, up: bool, noise: bool) -> Tensor:
        weight = layer.weight.double()
        weight = weight / math.sqrt(weight[0].numel()) if self.scaled else weight
        weight = weight * self._style(w, layer)[None, :, None, None]
        weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up:
            weight = weight.flip(2, 3) if self.flip else weight
            x = _resample(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), before=1, after=1)
        else:
            x = F.conv2d(x, weight, padding=1)
        if noise and layer.strength is not None and layer.noise is not None:
            x = x + layer.strength.double().reshape(()) * layer.noise.double().reshape(x.shape[-2:])
        x = x + layer.bias.double()[None, :, None, None]
        return self._clamped(math.sqrt(2) * torch.where(x < 0, 0.2 * x, x))

    def _rgb(self, x: Tensor, w: Tensor, layer: Layer) -> Tensor:
        weight = layer.weight.double() * self._style(w, layer)[None, :, None, None] / math.sqrt(x.shape[1])
        return self._clamped(F.conv2d(x, weight) + layer.bias.double().reshape(1, -1, 1, 1))

    def _clamped(self, x: Tensor) -> Tensor:
        return x if self.sizes.clamp is None else x.clamp(-self.sizes.clamp, self.sizes.clamp)


def _normalised(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def _zeros_between(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return (
        torch.stack([x, *[torch.zeros_like(x)] * 3], -1)
        .reshape(n, c, h, w, 2, 2)
        .permute(0, 1, 2, 4, 3, 5)
        .reshape(n, c, 2 * h, 2 * w)
    )


def _resample(x: Tensor, before: int, after: int) -> Tensor:
    """The filter [1, 3, 3, 1] in both axes, of sum 4."""
    taps = [1 / 4, 3 / 4, 3 / 4, 1 / 4]
    x = F.pad(x, (before, after, before, after))
    x = sum(tap * x[..., i : x.shape[-1] - 3 + i] for i, tap in enumerate(taps))
    return sum(tap * x[..., i : x.shape[-2] - 3 + i, :] for i, tap in enumerate(taps))


class Dice:
    """Random float32 tensors from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
        return torch.from_numpy(self.rng.normal(shift, scale, shape).astype(np.float32))


def _drawn(sizes: Sizes, dice: Dice, style_bias: float, **how: Any) -> Reference:
    """All tensors of a generator, in the shapes (out, in, k, k) and (out, in)."""
    ins = [sizes.z_dim + (sizes.w_dim if sizes.classes else 0), *[sizes.w_dim] * (sizes.mapping - 1)]
    dense = [(dice(sizes.w_dim, i, scale=1 / sizes.lr), dice(sizes.w_dim, scale=0.1 / sizes.lr)) for i in ins]
    embed = (dice(sizes.w_dim, sizes.classes), dice(sizes.w_dim)) if sizes.classes else None

    def layer(a: int, b: int, k: int, side: int = 0) -> Layer:
        noise = (dice(1, shift=0.3, scale=0.1).reshape(()), dice(side, side)) if side and sizes.noise else (None, None)
        style = dice(a, sizes.w_dim), dice(a, scale=0.2, shift=style_bias)
        return Layer(dice(b, a, k, k), dice(b, scale=0.3), *style, *noise)

    return Reference(
        sizes,
        dense,
        dice(sizes.widths[0], 4, 4),
        [layer(a, b, 3, side) for a, b, side in sizes.convs],
        [layer(width, sizes.channels, 1) for width in sizes.widths],
        embed=embed,
        w_avg=dice(sizes.w_dim),
        **how,
    )


def _kernel(gain: float) -> Tensor:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(row, row) / 64 * gain


# rosinality -----------------------------------------------------------------------------------------------------------


def rosinality(sizes: Sizes, seed: int = 0) -> tuple[dict[str, Any], Reference]:
    """A converted file: `{g_ema, latent_avg}`."""
    made = _drawn(sizes, Dice(seed), style_bias=1.0)
    state: dict[str, Tensor] = {"input.input": made.const[None]}
    for i, (weight, bias) in enumerate(made.dense):
        state |= {f"style.{i + 1}.weight": weight, f"style.{i + 1}.bias": bias}
    for i, layer in enumerate(made.convs):
        name = f"convs.{i - 1}" if i else "conv1"
        state |= _rosinality_conv(f"{name}.conv", layer)
        state[f"{name}.activate.bias"] = layer.bias
        state[f"{name}.noise.weight"] = torch.zeros(1) if layer.strength is None else layer.strength.reshape(1)
        if i % 2:
            state[f"{name}.conv.blur.kernel"] = _kernel(4)
        if layer.noise is not None:
            state[f"noises.noise_{i}"] = layer.noise[None, None]
    for i, layer in enumerate(made.rgbs):
        name = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        state |= _rosinality_conv(f"{name}.conv", layer)
        state[f"{name}.bias"] = layer.bias.reshape(1, -1, 1, 1)
        if i:
            state[f"{name}.upsample.kernel"] = _kernel(4)
    return {"g_ema": OrderedDict(state), "latent_avg": made.w_avg}, made


def _rosinality_conv(name: str, layer: Layer) -> dict[str, Tensor]:
    return {
        f"{name}.weight": layer.weight[None],
        f"{name}.modulation.weight": layer.style_weight,
        f"{name}.modulation.bias": layer.style_bias,
    }


# genforce -------------------------------------------------------------------------------------------------------------


def genforce(sizes: Sizes, seed: int = 0) -> tuple[dict[str, Any], Reference]:
    """`{generator_smooth}` with mirrored upsampling kernels and style biases without their 1."""
    made = _drawn(sizes, Dice(seed), style_bias=0.0, flip=True, plus=1.0)
    assert made.w_avg is not None
    state: dict[str, Tensor] = {"truncation.w_avg": made.w_avg, "synthesis.early_layer.const": made.const[None]}
    for i, (weight, bias) in enumerate(made.dense):
        state |= {f"mapping.dense{i}.weight": weight, f"mapping.dense{i}.bias": bias}
    named = {f"synthesis.layer{i}": layer for i, layer in enumerate(made.convs)}
    named |= {f"synthesis.output{i}": layer for i, layer in enumerate(made.rgbs)}
    for name, layer in named.items():
        state |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        state |= {f"{name}.style.weight": layer.style_weight, f"{name}.style.bias": layer.style_bias}
        if layer.noise is not None and layer.strength is not None:
            state |= {f"{name}.noise": layer.noise[None, None], f"{name}.noise_strength": layer.strength}
    for i in range(1, len(made.convs), 2):
        state[f"synthesis.layer{i}.filter.kernel"] = _kernel(4)[None, None]
    state["synthesis.upsample.kernel"] = _kernel(4)[None, None]
    return {"generator": {}, "discriminator": {}, "generator_smooth": state}, made


# NVIDIA PyTorch -------------------------------------------------------------------------------------------------------


class Persistent:
    """Pickles itself as NVIDIA's persistent classes do, source text included."""

    def __init__(self, class_name: str, state: Mapping[str, Any]) -> None:
        self.class_name, self.state = class_name, state

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name, "state": self.state}
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


SOURCE = "import pathlib\npathlib.Path('canary').touch()\n"


def module(class_name: str, parts: Mapping[str, Any], **attributes: Any) -> Persistent:
    """A pickled torch module: Parameters, buffers and sub-modules are told apart by their types."""
    state: dict[str, Any] = {"training": False, "_backward_hooks": OrderedDict(), "_non_persistent_buffers_set": set()}
    state["_parameters"] = OrderedDict((k, v) for k, v in parts.items() if isinstance(v, nn.Parameter))
    state["_modules"] = OrderedDict((k, v) for k, v in parts.items() if isinstance(v, Persistent))
    state["_buffers"] = OrderedDict(
        (k, v) for k, v in parts.items() if k not in state["_parameters"] | state["_modules"]
    )
    easy = sys.modules["dnnlib.util"].EasyDict
    return Persistent(class_name, {**state, "_init_args": (), "_init_kwargs": easy(attributes), **attributes})


def nvidia_pytorch(sizes: Sizes, seed: int = 0, **changes: Any) -> tuple[dict[str, Any], Reference]:
    """The top-level dict of a `.pkl`; call it, and `pickle.dump`, inside `nvidia_modules()`."""
    made = _drawn(sizes, Dice(seed), style_bias=1.0, scaled=False)
    mapping: dict[str, Any] = {"w_avg": made.w_avg}
    if made.embed is not None:
        mapping["embed"] = _fully_connected(*made.embed, activation="linear")
    for i, (weight, bias) in enumerate(made.dense):
        mapping[f"fc{i}"] = _fully_connected(weight, bias, sizes.lr)
    synthesis: dict[str, Any] = {}
    for level, rgb in enumerate(made.rgbs):
        side = 4 << level
        parts: dict[str, Any] = {"resample_filter": _kernel(1)}
        if level:
            parts["conv0"] = _synthesis_layer(made.convs[2 * level - 1], sizes, up=2)
        else:
            parts["const"] = nn.Parameter(made.const)
        parts["conv1"] = _synthesis_layer(made.convs[2 * level], sizes, up=1)
        parts["torgb"] = module("ToRGBLayer", _modulated(rgb), conv_clamp=sizes.clamp)
        block = {"architecture": "skip", "resolution": side, "use_fp16": side > 8, "img_channels": 3, **changes}
        synthesis[f"b{side}"] = module("SynthesisBlock", parts, **block)
    networks = {
        "mapping": module("MappingNetwork", mapping, z_dim=sizes.z_dim, c_dim=sizes.classes),
        "synthesis": module("SynthesisNetwork", synthesis, w_dim=sizes.w_dim),
    }
    generator = module("Generator", networks, z_dim=sizes.z_dim, img_resolution=4 << len(sizes.widths) - 1)
    easy = sys.modules["dnnlib.util"].EasyDict
    return {"G": None, "D": None, "G_ema": generator, "training_set_kwargs": easy(), "augment_pipe": None}, made


def _fully_connected(weight: Tensor, bias: Tensor, lr: float = 1.0, activation: str = "lrelu") -> Persistent:
    gains = {"weight_gain": lr / np.sqrt(weight.shape[1]), "bias_gain": lr, "activation": activation}
    return module("FullyConnectedLayer", {"weight": nn.Parameter(weight), "bias": nn.Parameter(bias)}, **gains)


def _modulated(layer: Layer) -> dict[str, Any]:
    affine = _fully_connected(layer.style_weight, layer.style_bias, activation="linear")
    return {"affine": affine, "weight": nn.Parameter(layer.weight), "bias": nn.Parameter(layer.bias)}


def _synthesis_layer(layer: Layer, sizes: Sizes, up: int) -> Persistent:
    parts = {**_modulated(layer), "resample_filter": _kernel(1)}
    if layer.noise is not None and layer.strength is not None:
        parts |= {"noise_const": layer.noise, "noise_strength": nn.Parameter(layer.strength)}
    facts = {"use_noise": sizes.noise, "activation": "lrelu", "conv_clamp": sizes.clamp, "up": up}
    return module("SynthesisLayer", parts, act_gain=np.sqrt(2), padding=1, **facts)


# NVIDIA TensorFlow ----------------------------------------------------------------------------------------------------


def nvidia_tf(sizes: Sizes, seed: int = 0, **options: Any) -> tuple[Any, Reference]:
    """The tuple (G, D, Gs) of a `.pkl`; call it, and the pickler, inside `nvidia_modules()`."""
    made = _drawn(sizes, Dice(seed), style_bias=0.0, flip=True, plus=1.0)
    mapping = []
    if made.embed is not None:
        mapping += [("LabelEmbed/weight", made.embed[0].T), ("LabelEmbed/bias", made.embed[1])]
    for i, (weight, bias) in enumerate(made.dense):
        mapping += [(f"Dense{i}/weight", weight.T), (f"Dense{i}/bias", bias)]
    synthesis = [
        (f"noise{i}", layer.noise[None, None]) for i, layer in enumerate(made.convs) if layer.noise is not None
    ]
    synthesis.append(("4x4/Const/const", made.const[None]))
    for i, layer in enumerate(made.convs):
        side = 4 << (i + 1) // 2
        synthesis += _tf_layer(f"{side}x{side}/{('Conv1', 'Conv0_up')[i % 2] if i else 'Conv'}", layer)
    for level, layer in enumerate(made.rgbs):
        synthesis += _tf_layer(f"{4 << level}x{4 << level}/ToRGB", layer)
    if sizes.clamp is not None:
        options["conv_clamp"] = sizes.clamp
    components = {
        "mapping": network("G_mapping", mapping, {}, {}),
        "synthesis": network("G_synthesis", synthesis, {}, {}),
    }
    own = [("lod", torch.tensor(0.0)), ("dlatent_avg", made.w_avg)]
    smooth = network("Gs", own, components, options)
    return (network("G", [], {}, {}), network("D", [], {}, {}), smooth), made


def _tf_layer(name: str, layer: Layer) -> list[tuple[str, Tensor]]:
    made = [
        (f"{name}/weight", layer.weight.permute(2, 3, 1, 0)),
        (f"{name}/mod_weight", layer.style_weight.T),
        (f"{name}/mod_bias", layer.style_bias),
        (f"{name}/bias", layer.bias),
    ]
    return made if layer.strength is None else [*made, (f"{name}/noise_strength", layer.strength)]


def network(
    name: str, variables: list[tuple[str, Tensor]], components: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """A TensorFlow network as it pickles itself."""
    made = sys.modules["dnnlib.tflib.network"].Network()
    made.__dict__.update(
        version=4,
        name=name,
        static_kwargs=dict(options),
        components=dict(components),
        build_module_src=SOURCE,
        build_func_name="G_main",
        variables=[(key, np.ascontiguousarray(value.numpy())) for key, value in variables],
    )
    return made


@contextlib.contextmanager
def nvidia_modules() -> Iterator[None]:
    """NVIDIA's module names while files are written; gone when they are read."""

    def reconstruct(meta: object) -> None:
        raise AssertionError("the file must not be unpickled by its own code")

    names = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": reconstruct},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": type("EasyDict", (dict,), {})},
        "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": type("Network", (), {})},
        "tfutil": {"Network": type("Network", (), {})},
    }
    for name, values in names.items():
        sys.modules[name] = types.ModuleType(name)
        for key, value in values.items():
            value.__module__, value.__qualname__ = name, key
            setattr(sys.modules[name], key, value)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes as Python 2 with an old numpy did: protocol 2, bytes as 8-bit strings, `numpy.core`."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, file: Any) -> None:
        super().__init__(file, 2)

    def save_bytes(self, data: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    def save_text(self, text: str) -> None:
        data = text.encode("latin1")
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module_name = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module_name}\n{name or obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text
    dispatch[type] = save_global
    dispatch[types.FunctionType] = save_global
    dispatch[types.BuiltinFunctionType] = save_global


# files ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """An official layout: its name, and a function that writes a random file of given sizes."""

    name: str
    write: Callable[..., Reference] = field(repr=False)

    def __str__(self) -> str:
        return self.name


def _torch_file(make: Callable[..., Any], legacy: bool) -> Callable[..., Reference]:
    def write(path: Path, sizes: Sizes, seed: int = 0, **changes: Any) -> Reference:
        content, made = make(sizes, seed, **changes)
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        return made

    return write


def _pickle_file(make: Callable[..., Any], protocol: int = 4, python2: bool = False) -> Callable[..., Reference]:
    def write(path: Path, sizes: Sizes, seed: int = 0, **changes: Any) -> Reference:
        with nvidia_modules(), path.open("wb") as file:
            content, made = make(sizes, seed, **changes)
            (Python2Pickler(file) if python2 else pickle.Pickler(file, protocol)).dump(content)
        return made

    return write


LAYOUTS = (
    Layout("rosinality", _torch_file(rosinality, legacy=True)),
    Layout("genforce", _torch_file(genforce, legacy=False)),
    Layout("nvidia-pytorch", _pickle_file(nvidia_pytorch)),
    Layout("nvidia-tf", _pickle_file(nvidia_tf, protocol=pickle.HIGHEST_PROTOCOL)),
    Layout("nvidia-tf", _pickle_file(nvidia_tf, python2=True)),
)
