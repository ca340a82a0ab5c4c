"""Parameters of `warpedganspace`, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class WarpedParams:
    """What can be chosen; lengths are in prior standard deviations (whitened) or of latent length (raw)."""

    dipoles: int = field(default=32, metadata={"help": "pairs of support vectors of each function"})
    step: float = field(default=1.0, metadata={"help": "length of the straight pieces of which a path is made"})
    shift_min: float = field(default=0.5, metadata={"help": "shortest path length in training"})
    shift_max: float = field(default=6.0, metadata={"help": "longest path length in training"})
    shift_weight: float = field(default=0.25, metadata={"help": "weight of the shift error in the loss (lambda)"})
    steps: int = field(default=2_500, metadata={"help": "training steps"})
    batch: int = field(default=32, metadata={"help": "image pairs per step"})
    lr: float = field(default=1e-3, metadata={"help": "learning rate of Adam for the reconstructor"})
    support_lr: float = field(default=1e-2, metadata={"help": "learning rate of Adam for the support vectors"})
    decay: float = field(
        default=0.2, metadata={"help": "last share of the steps over which the learning rates fall linearly to zero"}
    )
    whiten: bool = field(default=True, metadata={"help": "outside z: paths run in whitened coordinates"})
    reuse: int = field(
        default=5, metadata={"help": "in how many pairs each base image serves; 1 is the published algorithm"}
    )

    reconstructor: Literal["lenet", "resnet18", "auto"] = field(
        default="lenet",
        metadata={
            "help": "network that reads the path off two images; auto: lenet up to 64 px, else resnet18",
            "added": True,
        },
    )

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 2 or self.reuse < 1 or self.dipoles < 1:
            raise ValueError("steps must be >= 0, batch >= 2 (batch norm), reuse and dipoles >= 1")
        if not (self.step > 0 and 0 <= self.shift_min <= self.shift_max and self.shift_max > 0):
            raise ValueError("step must be > 0 and 0 <= shift_min <= shift_max")
        if not (self.lr > 0 and self.support_lr > 0 and 0 <= self.decay <= 1 and self.shift_weight >= 0):
            raise ValueError("learning rates must be > 0, decay in [0, 1], shift_weight >= 0")


SMOKE: Mapping[str, Any] = MappingProxyType({"steps": 30, "batch": 8, "dipoles": 4})

STANDARD: Mapping[str, Any] = MappingProxyType({"steps": 20_000})
"""20,000 x 32 shifted and 128,000 base images: under 10^6."""

PAPER: Mapping[str, Any] = MappingProxyType(
    {
        "dipoles": 256,
        "step": 0.2,
        "shift_min": 0.1,
        "shift_max": 0.2,
        "steps": 150_000,
        "lr": 1e-4,
        "support_lr": 1e-4,
        "decay": 0.0,
        "whiten": False,
        "reuse": 1,
        "reconstructor": "auto",
    }
)
"""Those of the official BigGAN-128: single steps of .1 to .2 in training. Not in here: its K = 120 and its class 239.

benchmarks/warped-paper.yaml has all of that, and what the other official set-ups change.
"""
