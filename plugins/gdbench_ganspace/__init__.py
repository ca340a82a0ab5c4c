"""The method `ganspace`: principal components of w, or of early features mapped back to z."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_ganspace.params import PAPER, SMOKE, STANDARD, GanspaceParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="ganspace",
        summary="principal components of w, or of the first features regressed to z; largest variance first",
        discover="gdbench_ganspace.discover:discover",
        params=GanspaceParams,
        smoke=SMOKE,
        spaces=("w", "z", "s"),
        tiers={"standard": STANDARD, "paper": PAPER},
        citation="Härkönen et al., GANSpace: Discovering Interpretable GAN Controls, NeurIPS 2020, arXiv:2004.02546",
    )
