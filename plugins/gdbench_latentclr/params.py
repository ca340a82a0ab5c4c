"""Parameters of `latentclr`, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class LatentclrParams:
    """What can be chosen; shifts are in units of prior standard deviations (whitened) or of latent length (raw)."""

    images: int = field(
        default=98_000, metadata={"help": "features computed in all; a step takes batch x (K + 1), whatever K is"}
    )
    batch: int = field(default=8, metadata={"help": "codes per step, each edited along all K directions"})
    layer: str = field(default="middle", metadata={"help": "feature layer's name, or middle"})
    shift_min: float = field(default=1.0, metadata={"help": "shortest shift; a step has one shift for all its edits"})
    shift_max: float = field(default=3.0, metadata={"help": "longest shift"})
    both_signs: bool = field(default=True, metadata={"help": "half of the steps shift backwards"})
    temperature: float = field(default=0.5, metadata={"help": "similarities are divided by it"})
    lr: float = field(default=3e-2, metadata={"help": "learning rate of Adam"})
    weight_decay: float = field(default=0.0, metadata={"help": "of the vectors before they are made unit length (L2)"})
    whiten: bool = field(
        default=True, metadata={"help": "outside z: unit vectors in prior standard deviations instead of latent length"}
    )

    def __post_init__(self) -> None:
        if self.images < 0 or self.batch < 2:
            raise ValueError("images must be >= 0 and batch >= 2: a positive pair is one of two codes")
        if not (0 < self.shift_min <= self.shift_max and self.temperature > 0 and self.lr > 0):
            raise ValueError("0 < shift_min <= shift_max, temperature and lr must be > 0")
        if self.weight_decay < 0:
            raise ValueError("weight_decay must be >= 0")


SMOKE: Mapping[str, Any] = MappingProxyType({"images": 600, "batch": 4})

STANDARD: Mapping[str, Any] = MappingProxyType({"images": 980_000})

PAPER: Mapping[str, Any] = MappingProxyType(
    {
        "images": 5_280_000,
        "batch": 16,
        "shift_min": 3.0,
        "shift_max": 3.0,
        "both_signs": False,
        "lr": 1e-3,
        "weight_decay": 1e-3,
        "whiten": False,
    }
)
"""10,000 steps at K = 32 with the official optimiser; the official runs set shift, batch and layer per generator."""
