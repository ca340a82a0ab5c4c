"""Official StyleGAN2 files in the layout of `networks`: rosinality, NVIDIA PyTorch, NVIDIA TensorFlow, genforce.

All compute the same function. They differ in names, in the orientation of the upsampling kernels, in where the +1 of
the style bias lives, and in whether a kernel is scaled before demodulation: formats that do so are stored scaled, so
that even the epsilon of demodulation acts alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench import Record, UsageError, load_weights, normal
from gdbench_stylegan2.networks import MappingNetwork, infer_config

TF_NETWORK = "dnnlib.tflib.network.Network"
TF_VERSION = 4  # of StyleGAN2's network pickles
TF_USUAL = {"nonlinearity": "lrelu", "mapping_nonlinearity": "lrelu", "normalize_latents": True}
LR_MULTIPLIER = 0.01  # of the mapping network, in every published file
W_AVG_CODES = 4096
FIR = (1, 3, 3, 1)

Tensors = dict[str, Tensor]
Layer = Callable[[int], Tensors]


def recognise(path: Path) -> str | None:
    """The format of a file that holds a StyleGAN2 (or a relative that `convert` refuses with a reason), or None."""
    return None if path.is_dir() else _format(load_weights(path))


def convert(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors in the layout of `networks`, and the facts `lr_multiplier`, `conv_clamp` and `notes`.

    Raises UsageError for StyleGAN1 and StyleGAN2's other architectures (configs a to d, ResNet).
    """
    content = load_weights(path)
    form = _format(content)
    if form is None:
        raise UsageError(f"{path.name}: not a StyleGAN2 file of a known format")
    tensors, facts = READERS[form](content)
    notes = [] if "synthesis.b4.conv1.noise_const" in tensors else ["no noise maps in the file: rendered without noise"]
    if "mapping.w_avg" not in tensors:
        tensors["mapping.w_avg"] = _estimated_w_avg(tensors, facts["lr_multiplier"])
        notes.append(f"no mean w in the file: it is the mean of {W_AVG_CODES} codes from numpy's Philox(0)")
    return {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}, {**facts, "notes": notes}


def _format(content: Any) -> str | None:
    if isinstance(content, tuple | list) and content and isinstance(content[-1], Record):
        return "nvidia-tf" if content[-1].class_name == TF_NETWORK else None
    if not isinstance(content, Mapping):
        return None
    if isinstance(generator := content.get("G_ema"), Record):
        return None if "synthesis.input" in generator.modules() else "nvidia-pytorch"  # a StyleGAN3 has an input
    if {"style.1.weight", "conv1.conv.weight", "to_rgb1.conv.weight"} <= _state(content, "g_ema").keys():
        return "rosinality"
    if {"mapping.dense0.weight", "synthesis.layer0.style.weight"} <= _state(content, "generator_smooth").keys():
        return "genforce"
    return None


def _state(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The state dict under `key`, or `content` itself, without the prefix that DataParallel adds."""
    state = content.get(key, content)
    if not isinstance(state, Mapping):
        return {}
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _rosinality(content: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    state = _state(content, "g_ema")
    _check_filters(state, "kernel")
    noisy = "noises.noise_0" in state

    def conv(i: int) -> Tensors:
        name = f"convs.{i - 1}" if i else "conv1"
        noise = state[f"noises.noise_{i}"] if noisy else None
        return {
            "weight": _scaled(state[f"{name}.conv.weight"][0]),
            "bias": state[f"{name}.activate.bias"],
            "affine.weight": state[f"{name}.conv.modulation.weight"],
            "affine.bias": state[f"{name}.conv.modulation.bias"],
            **_noise(state[f"{name}.noise.weight"], noise),
        }

    def rgb(level: int) -> Tensors:
        name = f"to_rgbs.{level - 1}" if level else "to_rgb1"
        return {
            "weight": state[f"{name}.conv.weight"][0],
            "bias": state[f"{name}.bias"].flatten(),
            "affine.weight": state[f"{name}.conv.modulation.weight"],
            "affine.bias": state[f"{name}.conv.modulation.bias"],
        }

    levels = 1 + _count(state, lambda i: f"to_rgbs.{i}.bias")
    tensors = _synthesis(levels, state["input.input"][0], conv, rgb)
    for i in range(_count(state, lambda i: f"style.{i + 1}.weight")):
        tensors |= {f"mapping.fc{i}.{part}": state[f"style.{i + 1}.{part}"] for part in ("weight", "bias")}
    if isinstance(content.get("latent_avg"), Tensor):
        rows = content["latent_avg"].reshape(-1, content["latent_avg"].shape[-1])  # encoders keep one for each layer
        tensors["mapping.w_avg"] = rows[0] if bool((rows == rows[0]).all()) else rows.mean(0)
    return tensors, {"lr_multiplier": LR_MULTIPLIER, "conv_clamp": None}


def _genforce(content: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    state = _state(content, "generator_smooth")
    _check_filters(state, "kernel")

    def conv(i: int) -> Tensors:
        name = f"synthesis.layer{i}"
        return {
            "weight": _from_tf(state[f"{name}.weight"], up=i % 2 == 1),
            "bias": state[f"{name}.bias"],
            "affine.weight": state[f"{name}.style.weight"],
            "affine.bias": state[f"{name}.style.bias"] + 1,
            **_noise(state.get(f"{name}.noise_strength"), state.get(f"{name}.noise")),
        }

    def rgb(level: int) -> Tensors:
        name = f"synthesis.output{level}"
        return {
            "weight": state[f"{name}.weight"],
            "bias": state[f"{name}.bias"].flatten(),
            "affine.weight": state[f"{name}.style.weight"],
            "affine.bias": state[f"{name}.style.bias"] + 1,
        }

    levels = _count(state, lambda i: f"synthesis.output{i}.bias")
    if not levels or f"synthesis.layer{2 * levels - 1}.weight" in state:
        raise UsageError("a StyleGAN2 of another architecture than 'skip': one image output per resolution is needed")
    tensors = _synthesis(levels, state["synthesis.early_layer.const"][0], conv, rgb)
    for i in range(_count(state, lambda i: f"mapping.dense{i}.weight")):
        tensors |= {f"mapping.fc{i}.{part}": state[f"mapping.dense{i}.{part}"] for part in ("weight", "bias")}
    if "truncation.w_avg" in state:
        tensors["mapping.w_avg"] = state["truncation.w_avg"].flatten()
    return tensors, {"lr_multiplier": LR_MULTIPLIER, "conv_clamp": None}


def _nvidia_pytorch(content: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    modules = content["G_ema"].modules()
    tensors = content["G_ema"].tensors()
    if "synthesis.b4.const" not in tensors:
        raise UsageError("the G_ema of this file is no StyleGAN2: it has no synthesis.b4.const")
    _check_filters(tensors, "resample_filter")
    _only(modules, "architecture", "skip")
    layers = {name: module for name, module in modules.items() if not name.endswith(("affine", "embed"))}  # linear
    _only(layers, "activation", "lrelu")
    fc0 = modules["mapping.fc0"].state
    facts = {"lr_multiplier": float(fc0.get("bias_gain", LR_MULTIPLIER)), "conv_clamp": _only(modules, "conv_clamp")}
    return {name: t for name, t in tensors.items() if not name.endswith("resample_filter")}, facts


def _only(modules: Mapping[str, Record], attribute: str, wanted: str | None = None) -> Any:
    """The one value that `attribute` has in all modules that have it; UsageError for another than `wanted`."""
    values = {module.state[attribute] for module in modules.values() if attribute in module.state}
    if len(values) > 1 or (wanted is not None and not values <= {wanted}):
        raise UsageError(
            f"a StyleGAN2 with {attribute} {', '.join(map(str, values))}: {wanted or 'one value'} is needed"
        )
    return values.pop() if values else wanted


def _nvidia_tf(content: tuple[Record, ...]) -> tuple[Tensors, dict[str, Any]]:
    network = content[-1].state
    variables, options = _tf_variables(network)
    _check_tf(network, variables, options)

    def layer(name: str, up: bool = False, scale: bool = True) -> Tensors:
        weight = variables[f"{name}/weight"].permute(3, 2, 0, 1)
        return {
            "weight": _from_tf(weight, up) if scale else weight,
            "bias": variables[f"{name}/bias"],
            "affine.weight": variables[f"{name}/mod_weight"].T,
            "affine.bias": variables[f"{name}/mod_bias"] + 1,
        }

    def conv(i: int) -> Tensors:
        side = 4 << (i + 1) // 2
        name = f"synthesis/{side}x{side}/{('Conv1', 'Conv0_up')[i % 2] if i else 'Conv'}"
        noise = _noise(variables.get(f"{name}/noise_strength"), variables.get(f"synthesis/noise{i}"))
        return {**layer(name, up=i % 2 == 1), **noise}

    def rgb(level: int) -> Tensors:
        return layer(f"synthesis/{4 << level}x{4 << level}/ToRGB", scale=False)

    levels = 1 + _count(variables, lambda i: f"synthesis/{8 << i}x{8 << i}/Conv1/weight")
    tensors = _synthesis(levels, variables["synthesis/4x4/Const/const"][0], conv, rgb)
    for own, name in _tf_mapping(variables):
        tensors[f"mapping.{own}.weight"] = variables[f"mapping/{name}/weight"].T
        tensors[f"mapping.{own}.bias"] = variables[f"mapping/{name}/bias"]
    tensors["mapping.w_avg"] = variables["dlatent_avg"]
    clamp = options.get("conv_clamp")
    return tensors, {"lr_multiplier": float(options.get("mapping_lrmul", LR_MULTIPLIER)), "conv_clamp": clamp}


def _tf_mapping(variables: Tensors) -> list[tuple[str, str]]:
    dense = [(f"fc{i}", f"Dense{i}") for i in range(_count(variables, lambda i: f"mapping/Dense{i}/weight"))]
    return [*dense, ("embed", "LabelEmbed")] if "mapping/LabelEmbed/weight" in variables else dense


def _tf_variables(network: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    """Variables of a network and its components, these under their names, and all options they were built with."""
    named = {"": network, **{f"{name}/": part.state for name, part in network.get("components", {}).items()}}
    variables: Tensors = {}
    options: dict[str, Any] = {}
    for prefix, part in named.items():
        for name, value in part["variables"]:
            variables[prefix + str(name)] = torch.from_numpy(np.array(value, dtype=np.float32))
        options |= part.get("static_kwargs", {})
    return variables, options


def _check_tf(network: Mapping[str, Any], variables: Tensors, options: Mapping[str, Any]) -> None:
    names = " ".join(variables)
    if "StyleMod" in names:
        raise UsageError("this is a StyleGAN1 (its layers have StyleMod), which is another architecture than StyleGAN2")
    if network.get("version", 0) < TF_VERSION or "synthesis/4x4/Const/const" not in variables:
        raise UsageError("this TensorFlow pickle holds no StyleGAN2 (version 4 with a synthesis network)")
    if "ToRGB_lod" in names or "/Skip/" in names or options.get("architecture", "skip") != "skip":
        raise UsageError(
            "StyleGAN2 configs a to d and 'orig' or 'resnet' generators are other architectures: use e or f"
        )
    if "LabelConcat" in names:
        raise UsageError(
            "a conditional StyleGAN2 of the TensorFlow release before ADA: its label input is not supported"
        )
    for name, usual in TF_USUAL.items():
        if options.get(name, usual) != usual:
            raise UsageError(f"a StyleGAN2 with {name} {options[name]}: only {usual} is supported")
    if tuple(options.get("resample_kernel") or FIR) != FIR:
        raise UsageError(f"resample_kernel {options['resample_kernel']}: only {FIR} is supported")


READERS: Mapping[str, Callable[[Any], tuple[Tensors, dict[str, Any]]]] = {
    "rosinality": _rosinality,
    "nvidia-pytorch": _nvidia_pytorch,
    "nvidia-tf": _nvidia_tf,
    "genforce": _genforce,
}


def _synthesis(levels: int, const: Tensor, conv: Layer, rgb: Layer) -> Tensors:
    """All layers under their names here; convolution 0 is the one at 4x4, then two for each resolution."""
    tensors = {"synthesis.b4.const": const}
    for level in range(levels):
        layers = {"conv1": conv(2 * level), "torgb": rgb(level)}
        if level:
            layers["conv0"] = conv(2 * level - 1)
        for layer, parts in layers.items():
            tensors |= {f"synthesis.b{4 << level}.{layer}.{part}": tensor for part, tensor in parts.items()}
    return tensors


def _noise(strength: Tensor | None, noise: Tensor | None) -> Tensors:
    """The parts of a layer's noise that the file has; a strength without a map serves maps that users give."""
    if strength is None:
        return {}
    own = {"noise_strength": strength.reshape(())}
    return own if noise is None else {**own, "noise_const": noise.flatten(0, -2)}


def _from_tf(weight: Tensor, up: bool) -> Tensor:
    return _scaled(weight.flip(2, 3) if up else weight)


def _scaled(weight: Tensor) -> Tensor:
    """The kernel (out, in, k, k) as its format uses it: times 1 / sqrt(fan in)."""
    return weight / math.sqrt(weight[0].numel())


def _count(names: Mapping[str, Any], name: Callable[[int], str]) -> int:
    """How many of name(0), name(1), ... there are."""
    count = 0
    while name(count) in names:
        count += 1
    return count


def _check_filters(state: Mapping[str, Any], ending: str) -> None:
    """Raise UsageError unless every resampling filter in the file is the usual one, whatever its gain."""
    row = torch.tensor(FIR, dtype=torch.float32)
    usual = torch.outer(row, row) / row.sum() ** 2
    for name, kernel in state.items():
        if name.endswith(ending):
            square = kernel.float().reshape(kernel.shape[-2:])
            if square.shape != usual.shape or not torch.allclose(square / square.sum(), usual, atol=1e-5):
                raise UsageError(f"{name}: only the filter {FIR} is supported")


def _estimated_w_avg(tensors: Mapping[str, Tensor], lr_multiplier: float) -> Tensor:
    """The mean of w over fixed draws of z, as all references estimate it."""
    config = infer_config(tensors, lr_multiplier=lr_multiplier)
    mapping = MappingNetwork(config)
    state = {name.removeprefix("mapping."): t.float() for name, t in tensors.items() if name.startswith("mapping.")}
    mapping.load_state_dict(state, strict=False)
    z = normal(np.random.Generator(np.random.Philox(0)), W_AVG_CODES, config.z_dim)
    with torch.no_grad():
        mean: Tensor = mapping(z).mean(0)
    return mean
