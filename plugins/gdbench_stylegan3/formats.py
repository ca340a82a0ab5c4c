"""Official StyleGAN3 files in the layout of `networks`, which has their names: NVIDIA's pickles, and state dicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gdbench import Record, UsageError, load_weights
from gdbench_stylegan3.shapes import FACTS, TAPS, LayerShape, infer_config

PICKLE, STATE = "nvidia-pytorch", "state-dict"
MARK = "synthesis.input.freqs"  # a tensor that no other family has
CLASSES = frozenset(
    ("Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisInput", "SynthesisLayer", "FullyConnectedLayer")
)

Tensors = dict[str, Tensor]
Facts = dict[str, Any]


def recognise(path: Path) -> str | None:
    """The format of a file that holds a StyleGAN3 (or a relative that `convert` refuses with a reason), or None."""
    return None if path.is_dir() else _format(load_weights(path))


def convert(path: Path) -> tuple[Tensors, Facts]:
    """Tensors in the layout of `networks`, and what they do not tell: all of `FACTS`.

    Raises UsageError for relatives: other classes of modules, other activations, other resampling.
    """
    content = load_weights(path)
    form = _format(content)
    if form is None:
        raise UsageError(f"{path.name}: not a StyleGAN3 file of a known format")
    modules = content["G_ema"].modules() if form == PICKLE else {}
    tensors = content["G_ema"].tensors() if form == PICKLE else _own(content)
    _check_kinds(modules)
    facts = {"filter_size": TAPS, **_facts(modules)}
    try:
        config = infer_config(tensors, **facts)
    except ValueError as error:
        raise UsageError(f"{path.name}: {error}") from None
    _check_layers(modules, config.layers)
    facts |= {name: getattr(config, name) for name in FACTS if name != "filter_size"}
    return {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}, facts


def _format(content: Any) -> str | None:
    if not isinstance(content, Mapping):
        return None
    generator = content.get("G_ema")
    if isinstance(generator, Record):
        return PICKLE if "synthesis.input" in generator.modules() else None
    return STATE if isinstance(content.get(MARK), Tensor) else None


def _own(state: Mapping[Any, Any]) -> Tensors:
    """The generator's tensors, without what was saved beside them."""
    named = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    return {name: tensor for name, tensor in named.items() if name.startswith(("mapping.", "synthesis."))}


def _facts(modules: Mapping[str, Record]) -> Facts:
    """What the attributes of pickled modules tell beyond the tensors; what they lack has its usual value."""
    filters = [module.state for module in modules.values() if {"up_taps", "up_factor"} <= module.state.keys()]
    found = {
        "filter_size": _one("filter_size", {f["up_taps"] // f["up_factor"] for f in filters if f["up_taps"] > 1}),
        "lr_multiplier": _one("lr_multiplier", _values(modules, "mapping.fc", "bias_gain")),
        "conv_clamp": _one("conv_clamp", _values(modules, "synthesis.L", "conv_clamp")),
        "output_scale": _one("output_scale", _values(modules, "synthesis", "output_scale")),
        "sampling_rate": _one("sampling_rate", _values(modules, "synthesis.input", "sampling_rate")),
        "bandwidth": _one("bandwidth", _values(modules, "synthesis.input", "bandwidth")),
    }
    return {name: value[0] for name, value in found.items() if value}


def _values(modules: Mapping[str, Record], prefix: str, attribute: str) -> set[Any]:
    """The values of an attribute in all modules that have it, and whose names begin so."""
    found = {name: module.state for name, module in modules.items() if name.startswith(prefix)}
    return {_number(state[attribute]) for state in found.values() if attribute in state}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _one(name: str, values: Iterable[Any]) -> list[Any]:
    """The one value there is, or none. Raises UsageError for several."""
    found = list(values)
    if len(found) > 1:
        raise UsageError(f"a StyleGAN3 with {name} {', '.join(map(str, found))}: one value is needed")
    return found


def _check_kinds(modules: Mapping[str, Record]) -> None:
    """Raise UsageError unless all modules are of StyleGAN3's own classes, and activate as its own."""
    if strange := sorted({module.class_name for module in modules.values()} - CLASSES):
        raise UsageError(f"a relative of StyleGAN3 with modules {', '.join(strange)}: another architecture")
    for name, module in modules.items():
        if module.class_name == "FullyConnectedLayer":
            usual = "lrelu" if name.startswith("mapping.fc") else "linear"
            _expect(name, "activation", module.state.get("activation", usual), usual)
            if usual == "linear":
                _expect(name, "bias_gain", module.state.get("bias_gain", 1), 1)


def _check_layers(modules: Mapping[str, Record], layers: Iterable[LayerShape]) -> None:
    """Raise UsageError where a layer says that it resamples otherwise than its tensors tell."""
    for shape in layers if modules else ():
        state = modules[f"synthesis.{shape.name}"].state
        told = {
            "up_factor": shape.up,
            "down_factor": shape.down,
            "conv_kernel": shape.kernel,
            "is_torgb": shape.rgb,
            "padding": [*shape.padding, *shape.padding],
        }
        for attribute, value in told.items():
            given = state.get(attribute, value)
            _expect(shape.name, attribute, list(given) if isinstance(given, tuple) else given, value)


def _expect(name: str, attribute: str, given: Any, usual: Any) -> None:
    if given != usual and not (isinstance(usual, int) and isinstance(given, float) and math.isclose(given, usual)):
        raise UsageError(f"a StyleGAN3 whose {name} has {attribute} {given}: only {usual} is supported")
