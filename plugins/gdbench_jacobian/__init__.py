"""The method `jacobian`: the directions along which the images of a generator change most, to first order."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_jacobian.params import PAPER, SMOKE, STANDARD, JacobianParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="jacobian",
        summary="eigenvectors of the averaged metric E[J'J] of pixels or features; at the centre it is DeepSpectral",
        discover="gdbench_jacobian.discover:discover",
        params=JacobianParams,
        smoke=SMOKE,
        tiers={"standard": STANDARD, "paper": PAPER},
        citation="Ramesh, Choi and LeCun, A Spectral Regularizer for Unsupervised Disentanglement, 2018, "
        "arXiv:1812.01161; Khrulkov et al., Disentangled Representations from Non-Disentangled Models, 2021, "
        "arXiv:2102.06204",
    )
