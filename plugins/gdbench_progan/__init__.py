"""The family `progan`: the progressively grown GAN of Karras et al. 2018, in the five layouts it was published in."""

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

    truncation: float = field(default=1.0, metadata={"help": "factor of z; it is normalised away by the network"})
    tanh: bool | None = field(default=None, metadata={"help": "end in tanh; by default what the file says, else not"})
    label_dim: int | None = field(
        default=None, metadata={"help": "how many inputs are a label and not z; 0 by default"}
    )

    def __post_init__(self) -> None:
        if self.truncation <= 0:
            raise ValueError(f"truncation must be positive, got {self.truncation}")


DOMAIN = "natural"  # how change is measured in photographs
NON_COMMERCIAL = "CC BY-NC 4.0"
DISSECT = "netdissect.csail.mit.edu/data/ganmodel/karras"
GAN_ZOO = "dl.fbaipublicfiles.com/gan_zoo/PGAN"
ROOMS = ("bedroom", "churchoutdoor", "conferenceroom", "diningroom", "kitchen", "livingroom", "restaurant")
OFFICIAL = (
    Checkpoint(
        "celebahq1024-ptrblck",
        DOMAIN,
        "100_celeb_hq_network-snapshot-010403.pth",
        licence=NON_COMMERCIAL,
        resolution=1024,
        card={"page": "the repository ptrblck/prog_gans_pytorch_inference, which tracks it", "megabytes": 92.3},
    ),
    *(
        Checkpoint(
            f"{room}256-gandissect",
            DOMAIN,
            f"{room}_lsun.pth",
            url=f"https://{DISSECT}/{room}_lsun.pth",
            licence=f"code MIT-style; weights from {NON_COMMERCIAL} networks",
            resolution=256,
            card={"megabytes": 92},
        )
        for room in ROOMS
    ),
    *(
        Checkpoint(
            name,
            DOMAIN,
            file,
            url=f"https://{GAN_ZOO}/{file}",
            licence="BSD-type",
            resolution=resolution,
            card={"shows": shows, "sha256_starts": file.removesuffix(".pth")[-8:]},
        )
        for name, shows, file, resolution in (
            ("celebahq256-gan-zoo", "faces", "celebaHQ_s6_i80000-6196db68.pth", 256),
            ("celebahq512-gan-zoo", "faces", "celebaHQ16_december_s7_i96000-9c72988c.pth", 512),
            ("dtd128-gan-zoo", "textures", "testDTD_s5_i96000-04efa39f.pth", 128),
            ("celeba128-gan-zoo", "faces", "celebaCropped_s5_i83000-2b0acc76.pth", 128),
        )
    ),
    Checkpoint(
        "celebahq1024-genforce",
        DOMAIN,
        "pggan_celebahq1024.pth",
        licence=f"code MIT; weights {NON_COMMERCIAL}",
        resolution=1024,
        card={"page": "the links in MODEL_ZOO.md of genforce/genforce, which has 30 LSUN classes too"},
    ),
    Checkpoint(
        "celebahq1024-nvidia",
        DOMAIN,
        "karras2018iclr-celebahq-1024x1024.pkl",
        licence=NON_COMMERCIAL,
        resolution=1024,
        card={"page": "the Google Drive folder named by tkarras/progressive_growing_of_gans"},
    ),
)
"""The published files (checkpoint-formats, section 6); no full hash of any of them is known."""


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer ProGAN."""
    shipped = (Checkpoint(**json.loads(card.read_text())) for card in sorted(CARDS.glob("*.json")))
    yield GeneratorSpec(
        name="progan",
        version=2,  # 1 summed squares for the pixel norm: images differ by 1e-7
        summary="progressively grown convolutional generator with pixel-wise normalisation",
        load="gdbench_progan.generator:load",
        params=Params,
        checkpoints=(*shipped, *OFFICIAL),
        provides=("features", "modulation", "program"),
        domain=DOMAIN,
        spaces=("z",),
        recognise="gdbench_progan.formats:recognise",
        convert="gdbench_progan.formats:convert",
        recipe="gdbench_progan.recipe:Recipe",
        citation="Karras et al., Progressive Growing of GANs, ICLR 2018, arXiv:1710.10196",
    )
