"""Finds the recipe that a family offers, among the installed plugins."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gdbench import Generator, GeneratorSpec, UsageError, build_params, generator_specs, plugin_folder
from gdbench_zoo.trainer import Recipe


def spec(family: str) -> GeneratorSpec:
    """The generator spec `family`. Raises UsageError where none with a recipe is installed."""
    trainable = {name: found for name, found in generator_specs().items() if found.recipe is not None}
    if family not in trainable:
        raise UsageError(f"no trainable family {family!r}; trainable: {', '.join(sorted(trainable)) or 'none'}")
    return trainable[family]


def recipe(family: str, channels: int = 3, values: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a family for images of so many channels, with some fields changed.

    Raises UsageError where a field or its type is wrong, or the family draws colour only.
    """
    found = spec(family).recipe
    kind: Any = pkgutil.resolve_name(found) if isinstance(found, str) else found
    made: Recipe = build_params(kind, values or {}, where=f"recipe of {family}")
    if getattr(made, "image_channels", 3) == channels:
        return made
    if not hasattr(made, "image_channels"):
        raise UsageError(f"the recipe of {family} draws colour images, not {channels} channel")
    adapted: Recipe = dataclasses.replace(made, image_channels=channels)  # type: ignore[type-var]
    return adapted


def load(family: str, weights: Path) -> Generator:
    """The generator in a weights file of the family's own layout, on the CPU, with default parameters."""
    found = spec(family)
    load = pkgutil.resolve_name(found.load) if isinstance(found.load, str) else found.load
    generator: Generator = load(weights, found.params(), torch.device("cpu"))
    return generator


def folder(family: str) -> Path:
    """Where the family's package keeps its shipped checkpoints."""
    return plugin_folder(spec(family)) / "checkpoints"
