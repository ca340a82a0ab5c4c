"""The method `latentclr`: directions whose effect on features is alike at every code, and unlike that of the others."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_latentclr.params import PAPER, SMOKE, STANDARD, LatentclrParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="latentclr",
        summary="unit vectors trained by contrast: the same feature change at every code, another for each direction",
        discover="gdbench_latentclr.discover:discover",
        params=LatentclrParams,
        smoke=SMOKE,
        tiers={"standard": STANDARD, "paper": PAPER},
        needs=("features",),
        learned=True,
        citation="Yüksel et al., LatentCLR: A Contrastive Learning Approach for Unsupervised Discovery of "
        "Interpretable Directions, ICCV 2021, arXiv:2104.00820",
    )
