"""Parameters of the supervised references, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class OracleLinearParams:
    """What can be chosen for `oracle-linear`."""

    samples: int = field(default=100_000, metadata={"help": "images that the oracle labels"})
    estimator: Literal["least-squares", "svm"] = field(
        default="least-squares", metadata={"help": "regression on all labels, or a linear classifier of the extremes"}
    )
    share: float = field(default=0.02, metadata={"help": "svm: share of the images at each end"})
    conditional: bool = field(
        default=False, metadata={"help": "project out the directions of all other factors (conditional manipulation)"}
    )
    batch: int = field(default=250, metadata={"help": "images at a time"})

    def __post_init__(self) -> None:
        if self.samples < 2 or self.batch < 1 or not 0 < self.share <= 0.5:
            raise ValueError("samples must be >= 2, batch >= 1 and share in (0, 0.5]")


ORACLE_LINEAR_SMOKE: Mapping[str, Any] = MappingProxyType({"samples": 1_500})

ORACLE_LINEAR_STANDARD: Mapping[str, Any] = MappingProxyType({"samples": 300_000})

ORACLE_LINEAR_PAPER: Mapping[str, Any] = MappingProxyType({"samples": 500_000, "estimator": "svm"})
"""Scores of 500,000 images or more are the authors' advice; their README uses 10,000."""


@dataclass(frozen=True)
class SteerabilityParams:
    """What can be chosen for `steerability`."""

    steps: int = field(default=1_350, metadata={"help": "training steps"})
    batch: int = field(default=8, metadata={"help": "codes per step, each edited in every way"})
    lr: float = field(default=0.01, metadata={"help": "learning rate of Adam"})
    decay: float = field(
        default=1.0, metadata={"help": "last share of the steps over which the learning rate falls linearly to zero"}
    )
    whiten: bool = field(
        default=True, metadata={"help": "outside z: learn in prior standard deviations, S^(1/2) w instead of w"}
    )

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 1 or not self.lr > 0 or not 0 <= self.decay <= 1:
            raise ValueError("steps must be >= 0, batch >= 1, lr > 0 and decay in [0, 1]")


STEERABILITY_SMOKE: Mapping[str, Any] = MappingProxyType({"steps": 60, "batch": 4})

STEERABILITY_STANDARD: Mapping[str, Any] = MappingProxyType({"steps": 13_000})
"""13,000 x 8 codes, each rendered once and in eight edits: under 10^6."""

STEERABILITY_PAPER: Mapping[str, Any] = MappingProxyType(
    {"steps": 5_000, "batch": 4, "lr": 1e-3, "decay": 0.0, "whiten": False}
)
"""20,000 codes for each edit, as for BigGAN."""
