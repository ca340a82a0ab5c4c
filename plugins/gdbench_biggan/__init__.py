"""The family `biggan`: BigGAN and BigGAN-deep of Brock et al. 2019, in the layouts of ajbrock and Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gdbench import Checkpoint, GeneratorSpec, hookimpl

CARDS = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True)
class Params:
    """How the generator samples, and facts that official files do not hold."""

    truncation: float = field(
        default=1.0, metadata={"help": "factor of z, and where BigGAN-deep takes its batch statistics; 1 is none"}
    )
    eps: float | None = field(
        default=None, metadata={"help": "epsilon of the conditional norms; by default the format's"}
    )
    up: tuple[int, ...] | None = field(
        default=None, metadata={"help": "blocks of BigGAN-deep that double the resolution; by default every second"}
    )
    label: int | None = field(
        default=None, metadata={"help": "the class of all samples, from 0; by default they are of all", "added": True}
    )

    def __post_init__(self) -> None:
        if self.truncation <= 0:
            raise ValueError(f"truncation must be positive, got {self.truncation}")
        if self.label is not None and self.label < 0:
            raise ValueError(f"label must be >= 0, got {self.label}")


DOMAIN = "natural"  # how change is measured in photographs
AJBROCK = "ajbrock/BigGAN-PyTorch"
DRIVE = f"Google Drive (named in the readme of {AJBROCK}; FILE is the G_ema.pth in the archive)"
OFFICIAL = (
    Checkpoint(
        "biggan-128",
        DOMAIN,
        "biggan-128.pth",
        licence="code MIT; none stated for the weights",
        resolution=128,
        card={"page": f"id 1nAle7FCVFZdix2--ks0r5JBkFnKw8ctW of {DRIVE}"},
    ),
    Checkpoint(
        "biggan-128-100k",
        DOMAIN,
        "biggan-128-100k.pth",
        licence="code MIT; none stated for the weights",
        resolution=128,
        card={"page": f"id 1dmZrcVJUAWkPBGza_XgswSuT-UODXZcO of {DRIVE}"},
    ),
    *(
        Checkpoint(
            f"biggan-{r}",
            DOMAIN,
            f"biggan-{r}.pth",
            licence="of DeepMind's originals, not verified",
            resolution=r,
            card={"page": f"deepmind/biggan-{r}/2 of TFHub with the converter of {AJBROCK}"},
        )
        for r in (256, 512)
    ),
    *(
        Checkpoint(
            f"biggan-deep-{r}",
            DOMAIN,
            f"biggan-deep-{r}-pytorch_model.bin",
            sha256=sha256,
            url=f"https://s3.amazonaws.com/models.huggingface.co/biggan/biggan-deep-{r}-pytorch_model.bin",
            licence="code MIT; weights of DeepMind",
            resolution=r,
            card={"megabytes": megabytes},
        )
        for r, megabytes, sha256 in (
            (128, 211, "b86146a8cfcde4cda135adba4b2806f78b3abe2dac9d0fd090cc3ab318604ad9"),
            (256, 234, None),
            (512, 236, None),
        )
    ),
)
"""The published files (checkpoint-formats, section 6); none of their hashes was seen at its own host."""


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer BigGAN."""
    shipped = (Checkpoint(**json.loads(card.read_text())) for card in sorted(CARDS.glob("*.json")))
    yield GeneratorSpec(
        name="biggan",
        summary="class-conditional residual generator with hierarchical latents, shared embedding and self-attention",
        load="gdbench_biggan.generator:load",
        params=Params,
        checkpoints=(*shipped, *OFFICIAL),
        provides=("features", "modulation", "program"),
        domain=DOMAIN,
        spaces=("z",),
        recognise="gdbench_biggan.formats:recognise",
        convert="gdbench_biggan.formats:convert",
        recipe="gdbench_biggan.recipe:Recipe",
        citation="Brock et al., Large Scale GAN Training for High Fidelity Natural Image Synthesis, arXiv:1809.11096",
    )
