"""Finds the recipe that a family offers, among the installed plugins."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch

from gdbench import Generator, GeneratorSpec, UsageError, build_params
from gdbench_zoo.trainer import Recipe


def spec(family: str) -> GeneratorSpec:
    """The generator spec `family`. Raises UsageError where none with a recipe is installed."""
    for found, _ in _offers():
        if found.name == family:
            return found
    raise UsageError(
        f"no trainable family {family!r}; trainable: {', '.join(sorted(s.name for s, _ in _offers())) or 'none'}"
    )


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
    return next(path for found, path in _offers() if found.name == family) / "checkpoints"


def _offers() -> Iterator[tuple[GeneratorSpec, Path]]:
    for entry in entry_points(group="gdbench"):
        try:
            plugin = entry.load()
        except Exception:  # a broken plugin is `gdbench list`'s to report
            continue
        for found in getattr(plugin, "gdbench_generators", tuple)():
            if found.recipe is not None:
                yield found, Path(plugin.__file__).parent
