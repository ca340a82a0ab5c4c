"""Cards of published StyleGAN3 weights. Sizes are rough, and no hash of an original is known."""

from __future__ import annotations

from gdbench import Checkpoint

DOMAIN = "natural"  # how change is measured in photographs
LICENCE = "NVIDIA Source Code License for StyleGAN3 (non-commercial)"
HOST = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan3/versions/1/files"
FILES = (
    ("ffhq", "faces", 1024),
    ("ffhqu", "faces", 1024),
    ("ffhqu", "faces", 256),
    ("metfaces", "painted-faces", 1024),
    ("metfacesu", "painted-faces", 1024),
    ("afhqv2", "animals", 512),
)
SIZES = {  # bytes of generator, discriminator and averaged generator
    ("t", 1024): 295_000_000,
    ("t", 512): 315_000_000,
    ("t", 256): 283_000_000,
    ("r", 1024): 237_000_000,
    ("r", 512): 249_000_000,
    ("r", 256): 222_000_000,
}


def _card(config: str, name: str, shows: str, side: int) -> Checkpoint:
    file = f"stylegan3-{config}-{name}-{side}x{side}.pkl"
    return Checkpoint(
        f"{config}-{name}-{side}",
        DOMAIN,
        file,
        size=SIZES[config, side],
        url=f"{HOST}/{file}",
        licence=LICENCE,
        resolution=side,
        card={"shows": shows},
    )


OFFICIAL: tuple[Checkpoint, ...] = tuple(_card(config, *row) for config in ("t", "r") for row in FILES)
