"""Parameters of `disco`, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class DiscoParams:
    """What can be chosen; shifts are in units of prior standard deviations (whitened) or of latent length (raw)."""

    images: int = field(
        default=98_000, metadata={"help": "images rendered in all; a step takes 2 x directions x codes"}
    )
    directions: int = field(default=8, metadata={"help": "directions in a step, drawn anew (all, where K is smaller)"})
    codes: int = field(default=8, metadata={"help": "codes in a step for each direction, each with a shift of its own"})
    shift_min: float = field(default=0.5, metadata={"help": "shortest shift"})
    shift_max: float = field(default=3.0, metadata={"help": "longest shift; drawn uniformly, with either sign"})
    encoder: Literal["small", "official"] = field(
        default="small", metadata={"help": "network that is learned with the directions"}
    )
    width: int = field(default=64, metadata={"help": "length of the encoder's code"})
    flip: float = field(
        default=0.95, metadata={"help": "negatives whose cosine exceeds it are drawn together; 1 does it to none"}
    )
    entropy: float = field(default=1.0, metadata={"help": "weight of the entropy of variations"})
    lr: float = field(default=2e-3, metadata={"help": "learning rate of Adam for the encoder"})
    direction_lr: float = field(default=3e-2, metadata={"help": "learning rate of Adam for the directions"})
    whiten: bool = field(
        default=True, metadata={"help": "outside z: orthonormal in prior standard deviations instead of latent length"}
    )

    def __post_init__(self) -> None:
        if self.images < 0 or self.directions < 2 or self.codes < 2 or self.width < 2:
            raise ValueError("images must be >= 0; directions, codes and width >= 2")
        if not (0 <= self.shift_min <= self.shift_max and self.shift_max > 0):
            raise ValueError("0 <= shift_min <= shift_max, shift_max must be > 0")
        if not (self.lr > 0 and self.direction_lr > 0 and self.entropy >= 0):
            raise ValueError("learning rates must be > 0, entropy >= 0")


SMOKE: Mapping[str, Any] = MappingProxyType({"images": 1_000, "directions": 4, "codes": 4})

STANDARD: Mapping[str, Any] = MappingProxyType({"images": 980_000})

PAPER: Mapping[str, Any] = MappingProxyType(
    {
        "images": 17_920_000,
        "directions": 8,
        "codes": 16,
        "shift_max": 6.0,
        "encoder": "official",
        "lr": 1e-4,
        "direction_lr": 1e-4,
        "whiten": False,
    }
)
"""70,000 steps of 256 images. The official step contrasts one direction with the others; here all with all."""
