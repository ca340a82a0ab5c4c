"""The family `stylegan3`: the alias-free generator of Karras et al. 2021, configs t and r."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gdbench import Checkpoint, GeneratorSpec, hookimpl
from gdbench_stylegan3.official import DOMAIN, OFFICIAL

CARDS = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True)
class Params:
    """How the generator samples."""

    psi: float = field(
        default=1.0, metadata={"help": "truncation: w is pulled towards its mean by this factor; 1 is none"}
    )
    cutoff: int | None = field(default=None, metadata={"help": "truncate only this many layers; only codes in z then"})


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer StyleGAN3."""
    shipped = (Checkpoint(**json.loads(card.read_text())) for card in sorted(CARDS.glob("*.json")))
    yield GeneratorSpec(
        name="stylegan3",
        summary="style-based generator without aliasing: Fourier features, filtered activations; configs t and r",
        load="gdbench_stylegan3.generator:load",
        params=Params,
        checkpoints=(*shipped, *OFFICIAL),
        provides=("mapping", "features", "modulation", "layers"),
        domain=DOMAIN,
        spaces=("w", "z", "w+", "s"),
        recognise="gdbench_stylegan3.formats:recognise",
        convert="gdbench_stylegan3.formats:convert",
        recipe="gdbench_stylegan3.recipe:Recipe",
        citation="Karras et al., Alias-Free Generative Adversarial Networks, NeurIPS 2021, arXiv:2106.12423",
    )
