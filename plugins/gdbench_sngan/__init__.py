"""The family `sngan`: the ResNet generator of Miyato et al. 2018, with checkpoints trained on scenes and digits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gdbench import Checkpoint, GeneratorSpec, hookimpl
from gdbench_sngan.official import DOMAIN, OFFICIAL

CARDS = Path(__file__).parent / "checkpoints"
DEFAULT = "scenes32"


@dataclass(frozen=True)
class Params:
    """How the generator samples."""

    psi: float = field(default=1.0, metadata={"help": "truncation: z is multiplied by this factor; 1 is none"})


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer SNGAN."""
    cards = sorted(CARDS.glob("*.json"), key=lambda card: (card.stem != DEFAULT, card.stem))
    shipped = (Checkpoint(**json.loads(card.read_text())) for card in cards)
    yield GeneratorSpec(
        name="sngan",
        summary="residual generator with batch normalisation, trained against a spectrally normalised discriminator",
        load="gdbench_sngan.generator:load",
        params=Params,
        checkpoints=(*shipped, *OFFICIAL),
        provides=("features", "modulation", "program"),
        domain=DOMAIN,
        spaces=("z",),
        recognise="gdbench_sngan.formats:recognise",
        convert="gdbench_sngan.formats:convert",
        recipe="gdbench_sngan.recipe:Recipe",
        citation="Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018, 1802.05957",
    )
