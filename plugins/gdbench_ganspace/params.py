"""Parameters of `ganspace`, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class GanspaceParams:
    """What can be chosen."""

    samples: int = field(default=20_000, metadata={"help": "codes whose principal components are taken"})
    estimator: Literal["exact", "incremental", "ica"] = field(
        default="exact",
        metadata={"help": "covariance accumulated in float64, scikit-learn's IncrementalPCA, or FastICA"},
    )
    layer: str | None = field(
        default=None, metadata={"help": "feature layer, in z; by default the first in which K components vary"}
    )
    batch: int = field(default=2_000, metadata={"help": "codes at a time"})

    def __post_init__(self) -> None:
        if self.samples < 2 or self.batch < 1:
            raise ValueError("samples must be >= 2 and batch >= 1")


SMOKE: Mapping[str, Any] = MappingProxyType({"samples": 500, "batch": 250})

STANDARD: Mapping[str, Any] = MappingProxyType({"samples": 300_000})

PAPER: Mapping[str, Any] = MappingProxyType({"samples": 1_000_000})
"""The figures of the paper use 10^6 samples; the official code 300,000 by default, with incremental PCA."""
