"""Supervised references, an upper line beside the ranked methods: `oracle-linear` and `steerability`."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_supervised import params


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer both references."""
    yield MethodSpec(
        name="oracle-linear",
        summary="linear directions of the factors that oracle A reads: regression or a support vector machine",
        discover="gdbench_supervised.oracle_linear:discover",
        params=params.OracleLinearParams,
        smoke=params.ORACLE_LINEAR_SMOKE,
        tiers={"standard": params.ORACLE_LINEAR_STANDARD, "paper": params.ORACLE_LINEAR_PAPER},
        needs=("domain", "factors"),
        role="reference",
        supervision="labels",
        version=2,  # 1 took the best explained targets: K = J were two of some factors and none of others
        citation="Shen et al., Interpreting the Latent Space of GANs for Semantic Face Editing, CVPR 2020, "
        "arXiv:1907.10786",
    )
    yield MethodSpec(
        name="steerability",
        summary="linear walks that imitate edits of the image: zoom, shift, rotation, colour, brightness",
        discover="gdbench_supervised.steerability:discover",
        params=params.SteerabilityParams,
        smoke=params.STEERABILITY_SMOKE,
        tiers={"standard": params.STEERABILITY_STANDARD, "paper": params.STEERABILITY_PAPER},
        role="reference",
        supervision="self",
        learned=True,
        citation="Jahanian, Chai and Isola, On the Steerability of Generative Adversarial Networks, ICLR 2020, "
        "arXiv:1907.07171",
    )
