"""The family `stylegan2`: the generator of Karras et al. 2020, and a small checkpoint trained on scenes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gdbench import Checkpoint, GeneratorSpec, hookimpl
from gdbench_stylegan2.official import DOMAIN, OFFICIAL

CARDS = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True)
class Params:
    """How the generator samples and renders."""

    psi: float = field(
        default=1.0, metadata={"help": "truncation: w is pulled towards its mean by this factor; 1 is none"}
    )
    cutoff: int | None = field(default=None, metadata={"help": "truncate only this many layers; only codes in z then"})
    noise: Literal["const", "none"] = field(
        default="const", metadata={"help": "noise maps of the weights, or none; weights without noise render without"}
    )


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer StyleGAN2."""
    shipped = (Checkpoint(**json.loads(card.read_text())) for card in sorted(CARDS.glob("*.json")))
    yield GeneratorSpec(
        name="stylegan2",
        summary="style-based generator with a mapping network and modulated convolutions",
        load="gdbench_stylegan2.generator:load",
        params=Params,
        checkpoints=(*shipped, *OFFICIAL),
        provides=("mapping", "features", "modulation", "program", "layers"),
        domain=DOMAIN,
        spaces=("w", "z", "w+", "s"),
        recognise="gdbench_stylegan2.formats:recognise",
        convert="gdbench_stylegan2.formats:convert",
        recipe="gdbench_stylegan2.recipe:Recipe",
        citation="Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, arXiv:1912.04958",
    )
