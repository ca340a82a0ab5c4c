"""The methods `hessian-penalty` and `orojar`: coordinates in which a generator's derivatives are diagonal."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_penalties.params import HESSIAN, OROJAR, SMOKE, PenaltyParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer both."""
    yield MethodSpec(
        name="hessian-penalty",
        version=2,  # 1 ranked by steps along +row only: a row's sign, which is arbitrary, decided
        summary="orthonormal basis in which the Hessian of every pixel is diagonal; its strongest K directions",
        discover="gdbench_penalties.discover:hessian",
        params=PenaltyParams,
        smoke=SMOKE,
        tiers=HESSIAN,
        learned=True,
        citation="Peebles et al., The Hessian Penalty: A Weak Prior for Unsupervised Disentanglement, ECCV 2020, "
        "arXiv:2008.10599",
    )
    yield MethodSpec(
        name="orojar",
        version=2,  # 1 ranked by steps along +row only: a row's sign, which is arbitrary, decided
        summary="orthonormal basis in which the columns of the Jacobian are orthogonal; its strongest K directions",
        discover="gdbench_penalties.discover:orojar",
        params=PenaltyParams,
        smoke=SMOKE,
        tiers=OROJAR,
        learned=True,
        citation="Wei et al., Orthogonal Jacobian Regularization for Unsupervised Disentanglement in Image "
        "Generation, ICCV 2021, arXiv:2108.07668",
    )
