"""Official ProGAN files in their five layouts, folded into the one of `networks.Generator`: see checkpoint-formats, 4.

`recognise` judges by content, `convert` gives tensors and the facts that they do not tell.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench import IntegrityError, Record, UsageError, load_weights
from gdbench_progan.networks import EPSILON, build

State = dict[str, Tensor]
Facts = dict[str, Any]

TELL_TALES = {  # format: patterns of names that all must occur
    "progan-ptrblck": (r"features\.0\.conv\.weight", r"features\.0\.wscale\.scale"),
    "progan-gandissect": (r"layer1\.conv\.weight", r"layer1\.wscale\.b"),
    "progan-genforce": (r"layer0\.weight", r"output0\.weight"),
    "progan-gan-zoo": (r"formatLayer\.(module\.)?weight", r"toRGBLayers\.0\.(module\.)?weight"),
    "progan-nvidia-tf": (r"4x4/Dense/weight", r"ToRGB_lod0/weight"),
}


def recognise(path: Path) -> str | None:
    """The format of a file, or None. Raises IntegrityError where the file is damaged or refused."""
    return None if path.is_dir() else _format(_read(path)[0])


def convert(path: Path) -> tuple[State, Facts]:
    """Tensors of `networks.Generator` and the facts that they do not tell.

    Raises UsageError for files of another kind, IntegrityError for incomplete ones.
    """
    state, config = _read(path)
    found = _format(state)
    if found is None:
        raise UsageError(f"{path.name} is no ProGAN checkpoint: its names are those of none of {list(TELL_TALES)}")
    try:
        tensors, facts = CONVERTERS[found](state, config)
        tensors = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
        build(tensors, **facts)
    except (LookupError, RuntimeError, ValueError, TypeError) as error:
        what = " ".join(str(error).split())[:300]
        raise IntegrityError(f"{path.name}: an incomplete {found} checkpoint: {what}") from None
    return tensors, {"format": found, **facts}


def _read(path: Path) -> tuple[State, Any]:
    """The named tensors of the averaged generator, and the configuration where a file holds one."""
    content = load_weights(path)
    if isinstance(content, tuple) and content:  # (G, D, Gs) of NVIDIA's TensorFlow pickles
        network = content[-1].state if isinstance(content[-1], Record) else {}
        variables = network.get("variables")
        pairs = [pair for pair in variables if isinstance(pair, tuple)] if isinstance(variables, list) else []
        return {str(name): torch.from_numpy(np.array(value)) for name, value in pairs}, network.get("static_kwargs")
    config = content.get("config") if isinstance(content, Mapping) else None
    for part in ("avgG", "generator_smooth", "state_dict"):
        if isinstance(content, Mapping) and part in content:
            content = content[part]
    state = content if isinstance(content, Mapping) else {}
    return {str(k).removeprefix("module."): v for k, v in state.items() if isinstance(v, Tensor)}, config


def _format(state: State) -> str | None:
    for name, patterns in TELL_TALES.items():
        if all(any(re.fullmatch(pattern, key) for key in state) for pattern in patterns):
            return name
    return None


def _facts(
    normalisations: int, pixel_norm: bool = True, slope: float = 0.2, tanh: bool = False, label_dim: int = 0
) -> Facts:
    facts = {"normalisations": normalisations, "pixel_norm": pixel_norm, "slope": slope}
    return {**facts, "tanh": tanh, "label_dim": label_dim}


def _he(weight: Tensor, gain: float = math.sqrt(2)) -> Tensor:
    """A stored kernel (out, in, k, k) times the equalising scale gain / sqrt(fan in)."""
    return weight * (gain / math.sqrt(weight[0].numel()))


def _linear(weight: Tensor, bias: Tensor) -> State:
    """The first layer of kernel (out, in, 4, 4) on a 1x1 map padded by 3: a linear one that sees the kernel flipped."""
    rows = weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2)
    return {"linear.weight": rows, "linear.bias": bias.repeat_interleave(16), "lod": torch.zeros(())}


def _from_ptrblck(state: State, _: Any) -> tuple[State, Facts]:
    """Section 4.2: the scale is stored, and is not quite He's."""

    def layer(name: str) -> tuple[Tensor, Tensor]:
        return state[f"{name}.conv.weight"] * state[f"{name}.wscale.scale"], state[f"{name}.wscale.b"]

    layers = [layer(f"features.{i}") for i in range(_count(state, r"features\.\d+\.conv\.weight"))]
    return _stacked(layers, {len(layers) // 2 - 1: layer("output")}), _facts(1)


def _from_gandissect(state: State, _: Any) -> tuple[State, Facts]:
    """Section 4.3."""
    n = _count(state, r"layer\d+\.conv\.weight")
    layers = [(_he(state[f"layer{i}.conv.weight"]), state[f"layer{i}.wscale.b"]) for i in range(1, n + 1)]
    (output,) = (name.split(".")[0] for name in state if re.fullmatch(r"output_\d+x\d+\.conv\.weight", name))
    rgb = _he(state[f"{output}.conv.weight"], 1.0), state[f"{output}.wscale.b"]
    return _stacked(layers, {n // 2 - 1: rgb}), _facts(1)


def _from_genforce(state: State, _: Any) -> tuple[State, Facts]:
    """Section 4.4. Fused up layers hold transposed kernels, seen by the shapes of layers whose width changes."""
    n = _count(state, r"layer\d+\.weight")
    ups = range(2, n, 2)
    fused = any(state[f"layer{i}.weight"].shape[1] != state[f"layer{i - 1}.weight"].shape[0] for i in ups)
    layers = []
    for i in range(n):
        weight = state[f"layer{i}.weight"]
        if fused and i in ups:
            weight = weight.transpose(0, 1).flip(2, 3)
        layers.append((_he(weight), state[f"layer{i}.bias"]))
    rgbs = {i: (_he(state[f"output{i}.weight"], 1.0), state[f"output{i}.bias"]) for i in range(n // 2)}
    return _stacked(layers, rgbs) | {"lod": state.get("lod", torch.zeros(())).reshape(())}, _facts(2)


def _from_gan_zoo(state: State, config: Any) -> tuple[State, Facts]:
    """Section 4.5: the scale multiplies the bias too, toRGB has the gain sqrt(2). `config`: dict or inert object."""
    fields: Mapping[str, Any] = config if isinstance(config, Mapping) else vars(config) if config is not None else {}
    equalised = bool(fields.get("equalizedlR", True))

    def layer(name: str) -> tuple[Tensor, Tensor]:
        weight, bias = (state.get(f"{name}.module.{part}", state.get(f"{name}.{part}")) for part in ("weight", "bias"))
        if weight is None or bias is None:
            raise KeyError(f"{name}.module.weight")
        scale = math.sqrt(2 / weight[0].numel()) if equalised else 1.0
        return weight * scale, bias * scale

    scales = _count(state, r"scaleLayers\.\d+\.0\.(module\.)?weight")
    convs = ["groupScale0.0", *(f"scaleLayers.{i}.{j}" for i in range(scales) for j in (0, 1))]
    tensors = _named(dict(enumerate(map(layer, convs))), "convs")
    tensors |= _named({i: layer(f"toRGBLayers.{i}") for i in range(scales + 1)}, "outputs")
    tensors["linear.weight"], tensors["linear.bias"] = layer("formatLayer")
    tensors["lod"] = torch.tensor(float(fields.get("alpha", 0.0)))
    tanh = fields.get("lossCriterion") in ("MSE", "DCGAN")
    norm = bool(fields.get("perChannelNormalization", True))
    return tensors, _facts(int(norm), norm, float(fields.get("leakyReluLeak", 0.2)), tanh)


def _from_nvidia(state: State, options: Any) -> tuple[State, Facts]:
    """Section 4.6: TensorFlow's kernels (k, k, in, out); those of fused up layers (k, k, out, in) and flipped.

    `options` are those that the network was built with, where they are not the usual ones.
    """
    told: Mapping[str, Any] = options if isinstance(options, Mapping) else {}
    if float(told.get("pixelnorm_epsilon", EPSILON)) != EPSILON:
        raise UsageError(f"a ProGAN with pixelnorm_epsilon {told['pixelnorm_epsilon']}: only {EPSILON} is supported")
    levels = _count(state, r"\d+x\d+/Conv0(_up)?/weight") + 1
    convs = {0: _conv(state, "4x4/Conv", told)}
    for level in range(1, levels):
        r = 4 * 2**level
        fused = f"{r}x{r}/Conv0_up/weight" in state
        convs[2 * level - 1] = _conv(state, f"{r}x{r}/Conv0_up" if fused else f"{r}x{r}/Conv0", told, fused)
        convs[2 * level] = _conv(state, f"{r}x{r}/Conv1", told)
    rgbs = {
        levels - 1 - j: _conv(state, f"ToRGB_lod{j}", told, gain=1.0)
        for j in range(levels)
        if f"ToRGB_lod{j}/weight" in state
    }
    dense, labels = state["4x4/Dense/weight"], int(told.get("label_size", 0))
    tensors = _named(convs, "convs") | _named(rgbs, "outputs")
    tensors["linear.weight"] = dense.T * (math.sqrt(2 / (16 * len(dense))) if told.get("use_wscale", True) else 1)
    tensors["linear.bias"] = state["4x4/Dense/bias"].repeat_interleave(16)
    times = (1 if labels else 2) if told.get("normalize_latents", True) else 0  # z and label are normalised together
    slope = 0.2 if told.get("use_leakyrelu", True) else 0.0
    facts = _facts(times, bool(told.get("use_pixelnorm", True)), slope, label_dim=labels)
    return tensors | {"lod": state.get("lod", torch.zeros(())).reshape(())}, facts


def _conv(
    state: State, name: str, told: Mapping[str, Any], fused: bool = False, gain: float = math.sqrt(2)
) -> tuple[Tensor, Tensor]:
    stored = state[f"{name}/weight"]
    weight = stored.permute(2, 3, 0, 1).flip(2, 3) if fused else stored.permute(3, 2, 0, 1)
    return _he(weight, gain) if told.get("use_wscale", True) else weight, state[f"{name}/bias"]


def _stacked(layers: list[tuple[Tensor, Tensor]], rgbs: Mapping[int, tuple[Tensor, Tensor]]) -> State:
    """Kernels and biases in order, the first on the latent; toRGB by level."""
    return _linear(*layers[0]) | _named(dict(enumerate(layers[1:])), "convs") | _named(rgbs, "outputs")


def _named(layers: Mapping[int, tuple[Tensor, Tensor]], name: str) -> State:
    return {
        f"{name}.{i}.{part}": tensor
        for i, layer in layers.items()
        for part, tensor in zip(("weight", "bias"), layer, strict=True)
    }


def _count(state: State, pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in state)


CONVERTERS: Mapping[str, Callable[[State, Any], tuple[State, Facts]]] = {
    "progan-ptrblck": _from_ptrblck,
    "progan-gandissect": _from_gandissect,
    "progan-genforce": _from_genforce,
    "progan-gan-zoo": _from_gan_zoo,
    "progan-nvidia-tf": _from_nvidia,
}
