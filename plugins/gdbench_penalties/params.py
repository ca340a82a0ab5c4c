"""Parameters of `hessian-penalty` and `orojar`, and their values in each tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class PenaltyParams:
    """What can be chosen. A step renders batch x (1 + 2 probes) images for the Hessian, batch x (1 + probes) for J."""

    steps: int = field(default=630, metadata={"help": "training steps"})
    batch: int = field(default=16, metadata={"help": "codes per step"})
    probes: int = field(default=4, metadata={"help": "Rademacher vectors per code, over which the variance is taken"})
    epsilon: float = field(
        default=0.1, metadata={"help": "length of a finite difference along each direction, in prior deviations"}
    )
    reach: float = field(
        default=0.0, metadata={"help": "codes are first moved along one direction each by up to so much, either way"}
    )
    lr: float = field(default=3e-2, metadata={"help": "learning rate of Adam"})
    decay: float = field(
        default=0.5, metadata={"help": "last share of the steps over which the learning rate falls linearly to zero"}
    )
    whiten: bool = field(
        default=True, metadata={"help": "outside z: orthonormal in prior standard deviations instead of latent length"}
    )

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 1 or self.probes < 2:
            raise ValueError("steps must be >= 0, batch >= 1 and probes >= 2 (a variance)")
        if not (self.epsilon > 0 and self.reach >= 0 and self.lr > 0 and 0 <= self.decay <= 1):
            raise ValueError("epsilon and lr must be > 0, reach >= 0, decay in [0, 1]")


SMOKE: Mapping[str, Any] = MappingProxyType({"steps": 30, "batch": 4})

HESSIAN: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "standard": {"steps": 6_800},
        "paper": {
            "steps": 50_000,
            "batch": 96,
            "probes": 2,
            "reach": 5.0,
            "lr": 1e-2,
            "decay": 0.0,
            "whiten": False,
        },
    }
)
"""Images: 630 x 144 and 6,800 x 144; the paper tier is the official BigGAN setting, 24 million."""

OROJAR: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "quick": {"steps": 1_100},
        "standard": {"steps": 12_000},
        "paper": {"steps": 50_000, "batch": 32, "probes": 2, "lr": 1e-2, "decay": 0.0, "whiten": False},
    }
)
"""Images: 1,100 x 80, 12,000 x 80, and the official 4.8 million."""
