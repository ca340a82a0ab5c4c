"""The methods `jacobian` and `local-basis`: directions along which images, or codes in w, change most at first."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_jacobian.params import LOCAL_SMOKE, PAPER, SMOKE, STANDARD, JacobianParams, LocalParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the methods."""
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
    yield MethodSpec(
        name="local-basis",
        summary="left singular vectors of dw/dz, the mapping's Jacobian, at each code; largest singular values first",
        discover="gdbench_jacobian.local:discover",
        params=LocalParams,
        smoke=LOCAL_SMOKE,
        needs=("mapping",),
        spaces=("w",),
        shape="curved",
        deterministic=True,
        citation="Choi et al., Do Not Escape From the Manifold: Discovering the Local Coordinates on the Latent Space "
        "of GANs, ICLR 2022, arXiv:2106.06959",
    )
