"""Parameters of `jacobian` and `local-basis`, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class JacobianParams:
    """What can be chosen."""

    jvps: int = field(
        default=32_000,
        metadata={"help": "Jacobian-vector products, as many for a code as the space has dimensions; each is an image"},
    )
    at: Literal["prior", "centre"] = field(
        default="prior", metadata={"help": "codes: sampled, or the one of z = 0 (DeepSpectral)"}
    )
    layer: str = field(
        default="pixels", metadata={"help": "what is differentiated: pixels, a feature layer's name, or middle"}
    )
    side: int = field(default=16, metadata={"help": "side length to which pixels are averaged"})
    whiten: bool = field(
        default=True, metadata={"help": "outside z: differentiate in prior standard deviations, J S^(1/2) instead of J"}
    )
    batch: int = field(default=128, metadata={"help": "products at a time"})

    def __post_init__(self) -> None:
        if self.jvps < 1 or self.side < 1 or self.batch < 1:
            raise ValueError("jvps, side and batch must be >= 1")


SMOKE: Mapping[str, Any] = MappingProxyType({"jvps": 256})

STANDARD: Mapping[str, Any] = MappingProxyType({"jvps": 128_000})

PAPER: Mapping[str, Any] = MappingProxyType({"at": "centre", "layer": "middle", "whiten": False})
"""DeepSpectral: one Jacobian of an intermediate layer, in latent units. Which layer depends on the generator."""


@dataclass(frozen=True)
class LocalParams:
    """What can be chosen for `local-basis`."""

    codes: int = field(default=256, metadata={"help": "codes whose average decides signs and the unit, not directions"})

    def __post_init__(self) -> None:
        if self.codes < 1:
            raise ValueError("codes must be >= 1")


LOCAL_SMOKE: Mapping[str, Any] = MappingProxyType({"codes": 8})
