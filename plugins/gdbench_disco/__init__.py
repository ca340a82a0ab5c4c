"""The method `disco`: directions and an encoder learned together by contrast of image variations."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_disco.params import PAPER, SMOKE, STANDARD, DiscoParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="disco",
        summary="orthonormal directions whose image variations a learned encoder tells apart by contrast",
        discover="gdbench_disco.discover:discover",
        params=DiscoParams,
        smoke=SMOKE,
        tiers={"standard": STANDARD, "paper": PAPER},
        learned=True,
        citation="Ren et al., Learning Disentangled Representation by Exploiting Pretrained Generative Models: A "
        "Contrastive Learning View, ICLR 2022, arXiv:2102.10543",
    )
