"""The factors of a scene as gdbench sees them, and the code in which the oracles predict them.

A prediction is one row of numbers: for a linear factor its place in its range, mapped to [-1, 1]; for a circular one
sine and cosine; for a class one logit per class.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from gdbench import Factor
from gdbench_scenes.render import POSITION, ROTATION, SCALE, SHAPES, SceneFactors

PRESENCE_VISIBLE = 0.3
TEXTURE_VISIBLE = 0.2

FACTORS = (
    Factor("shape", "class", classes=SHAPES),
    Factor("x", moves=("moves left", "moves right")),
    Factor("y", moves=("moves up", "moves down")),
    Factor("scale", moves=("shrinks", "grows")),
    Factor("rotation", moves=("rotates left", "rotates right")),
    Factor("object_hue", "circular"),
    Factor("light", moves=("lights from the left", "lights from the right")),
    Factor("background_hue", "circular", ("presence", PRESENCE_VISIBLE)),
    Factor("texture", "linear", ("presence", PRESENCE_VISIBLE), ("fades the texture", "brings out the texture")),
    Factor("phase", "circular", ("texture", TEXTURE_VISIBLE)),
    Factor("presence", moves=("fades the background", "brings in the background")),
)
RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "x": (-POSITION, POSITION),
        "y": (-POSITION, POSITION),
        "scale": SCALE,
        "rotation": (-ROTATION, ROTATION),
        "light": (-1, 1),
        "texture": (0, 1),
        "presence": (0, 1),
    }
)
WIDTHS: Mapping[str, int] = MappingProxyType({"linear": 1, "circular": 2, "class": len(SHAPES)})
CODE_WIDTH = sum(WIDTHS[factor.kind] for factor in FACTORS)


def split(code: Tensor) -> dict[str, Tensor]:
    """The columns (n, width) of each factor in codes (n, CODE_WIDTH)."""
    parts = torch.split(code, [WIDTHS[factor.kind] for factor in FACTORS], dim=1)
    return {factor.name: part for factor, part in zip(FACTORS, parts, strict=True)}


def decode(code: Tensor) -> dict[str, Tensor]:
    """Predictions in the units of the renderer: values and turns (n,), class probabilities (n, classes)."""
    parts = split(code)
    return {factor.name: _decoded(factor, parts[factor.name]) for factor in FACTORS}


def _decoded(factor: Factor, part: Tensor) -> Tensor:
    if factor.kind == "class":
        return part.softmax(1)
    if factor.kind == "circular":
        return (torch.atan2(part[:, 0], part[:, 1]) / (2 * torch.pi)) % 1
    low, high = RANGES[factor.name]
    return low + (part[:, 0] + 1) / 2 * (high - low)


def truth(scenes: SceneFactors) -> dict[str, Tensor]:
    """True values (n,) of each factor: float32, and int64 for the class."""
    return {factor.name: torch.from_numpy(np.ascontiguousarray(getattr(scenes, factor.name))) for factor in FACTORS}
