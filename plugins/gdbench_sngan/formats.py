"""Official SNGAN files in the layout of `networks`: GANLatentDiscovery folders or files, and mimicry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gdbench import UsageError, load_weights

Tensors = dict[str, Tensor]
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
CONV = ("weight", "bias")
MODELS = ("sn_resnet32", "sn_resnet64")  # of args.json


def recognise(path: Path) -> str | None:
    """The format of a file, or of a folder with generator.pt, that holds an SNGAN generator; None for anything else."""
    file = _weights_file(path)
    return None if file is None else _format(load_weights(file))


def convert(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors in the layout of `networks`, and the fact `upsampling`.

    Conditional batch normalisation (cGAN-PD): `blocks.i.embedj.weight` (classes, 2 * channels), gains then biases.
    Raises UsageError for generators with spectral normalisation or attention (SAGAN).
    """
    file = _weights_file(path)
    content = load_weights(file) if file else None
    form = _format(content)
    if file is None or form is None:
        raise UsageError(f"{path.name}: not an SNGAN file of a known format")
    if path.is_dir():
        _check_arguments(path / "args.json")
    state = _state(content)
    if any(re.search(r"sn_u|sn_sigma|weight_u|weight_orig|attn|attention", name) for name in state):
        raise UsageError(f"{path.name}: a generator with spectral normalisation or attention is no SNGAN generator")
    return _latent_discovery(state) if form == "ganlatentdiscovery" else _mimicry(state)


def _weights_file(path: Path) -> Path | None:
    """The file itself; of a folder its generator.pt, or that of the latest training step."""
    if not path.is_dir():
        return path
    steps = [(int(match[1]), file) for file in path.iterdir() if (match := re.fullmatch(r"generator_(\d+)", file.stem))]
    return path / "generator.pt" if (path / "generator.pt").is_file() else max(steps, default=(0, None))[1]


def _format(content: Any) -> str | None:
    state = _state(content)
    if {"model.0.weight", "model.2.model.3.weight"} <= state.keys():
        return "ganlatentdiscovery"
    return "mimicry" if {"l1.weight", "block2.c1.weight"} <= state.keys() else None


def _state(content: Any) -> dict[str, Any]:
    """The state dict of a file, without the prefix that DataParallel adds."""
    state = content.get("model_state_dict", content) if isinstance(content, Mapping) else None
    return {str(k).removeprefix("module."): v for k, v in state.items()} if isinstance(state, Mapping) else {}


def _check_arguments(file: Path) -> None:
    """Raise UsageError where the arguments of the training ask for another network."""
    if not file.is_file():
        return
    try:
        arguments = json.loads(file.read_text())
        model, spectral = arguments.get("model", MODELS[0]), arguments.get("gen_sn", False)
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{file.name} is not a JSON object: {error}") from None
    if model not in MODELS or spectral:
        raise UsageError(f"{file.name}: model {model!r}, gen_sn {spectral}; only {', '.join(MODELS)} without gen_sn")


def _latent_discovery(state: Mapping[str, Tensor]) -> tuple[Tensors, dict[str, Any]]:
    blocks = _count(state, "model.{}.model.3.weight", 2)
    tensors = _taken(state, "model.0", "linear", CONV)
    for i in range(blocks):
        block = f"model.{2 + i}"
        for number, own, parts in (
            (0, "bn1", BATCH_NORM),
            (3, "conv1", CONV),
            (4, "bn2", BATCH_NORM),
            (6, "conv2", CONV),
        ):
            tensors |= _taken(state, f"{block}.model.{number}", f"blocks.{i}.{own}", parts)
        if f"{block}.bypass.1.weight" in state:
            tensors |= _taken(state, f"{block}.bypass.1", f"blocks.{i}.bypass", CONV)
    tensors |= _taken(state, f"model.{2 + blocks}", "bn", BATCH_NORM)
    tensors |= _taken(state, f"model.{4 + blocks}", "conv", CONV)
    return tensors, {"upsampling": "nearest"}


def _mimicry(state: Mapping[str, Tensor]) -> tuple[Tensors, dict[str, Any]]:
    blocks = _count(state, "block{}.c1.weight", 2)
    tensors = _taken(state, "l1", "linear", CONV)
    for i in range(blocks):
        block, own = f"block{2 + i}", f"blocks.{i}"
        for j in (1, 2):
            tensors |= _taken(state, f"{block}.c{j}", f"{own}.conv{j}", CONV)
            if f"{block}.b{j}.embed.weight" in state:
                tensors |= _taken(state, f"{block}.b{j}.bn", f"{own}.bn{j}", BATCH_NORM[2:])
                tensors |= _taken(state, f"{block}.b{j}.embed", f"{own}.embed{j}", ("weight",))
            else:
                tensors |= _taken(state, f"{block}.b{j}", f"{own}.bn{j}", BATCH_NORM)
        if f"{block}.c_sc.weight" in state:
            tensors |= _taken(state, f"{block}.c_sc", f"{own}.bypass", CONV)
    tensors |= _taken(state, f"b{2 + blocks}", "bn", BATCH_NORM)
    tensors |= _taken(state, f"c{2 + blocks}", "conv", CONV)
    return tensors, {"upsampling": "bilinear"}


def _taken(state: Mapping[str, Tensor], name: str, own: str, parts: tuple[str, ...]) -> Tensors:
    return {f"{own}.{part}": state[f"{name}.{part}"].float() for part in parts}


def _count(state: Mapping[str, Any], pattern: str, first: int) -> int:
    """How many consecutive numbers, from `first`, `pattern` has."""
    count = 0
    while pattern.format(first + count) in state:
        count += 1
    return count
