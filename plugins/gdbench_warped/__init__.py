"""The method `warpedganspace`: curved paths along the gradients of functions that a reconstructor can tell apart."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_warped.params import PAPER, SMOKE, STANDARD, WarpedParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="warpedganspace",
        summary="paths along the gradients of learned radial functions, which a reconstructor tells apart",
        discover="gdbench_warped.discover:discover",
        params=WarpedParams,
        smoke=SMOKE,
        tiers={"standard": STANDARD, "paper": PAPER},
        shape="curved",
        learned=True,
        citation="Tzelepis, Tzimiropoulos and Patras, WarpedGANSpace: Finding Non-linear RBF Paths in GAN Latent "
        "Space, ICCV 2021, arXiv:2109.13357",
    )
