"""The method `voynov`: directions that a reconstructor can tell apart, learned together with it."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, hookimpl
from gdbench_voynov.params import PAPER, SMOKE, STANDARD, VoynovParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="voynov",
        summary="directions that a reconstructor tells apart; orthonormal by default, curved as projective and fc",
        discover="gdbench_voynov.discover:discover",
        params=VoynovParams,
        smoke=SMOKE,
        tiers={"standard": STANDARD, "paper": PAPER},
        curved_with={"form": ("projective", "fc")},
        learned=True,
        shareable=True,
        citation="Voynov and Babenko, Unsupervised Discovery of Interpretable Directions in the GAN Latent Space, "
        "ICML 2020, arXiv:2002.03754",
    )
