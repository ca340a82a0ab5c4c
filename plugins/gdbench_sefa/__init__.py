"""The method `sefa`: the directions that a generator's first affine weights amplify most, in closed form."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="sefa",
        summary="eigenvectors of A'A, A the first affine weights that act on the space; largest eigenvalues first",
        discover="gdbench_sefa.discover:discover",
        needs=("modulation",),
        deterministic=True,
        citation="Shen and Zhou, Closed-Form Factorization of Latent Semantics in GANs, CVPR 2021, arXiv:2007.06600",
    )
