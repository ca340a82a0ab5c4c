"""Cards of published StyleGAN2 weights. Sizes are rough; hashes were seen at copies, not at the original hosts."""

from __future__ import annotations

from gdbench import Checkpoint

DOMAIN = "natural"  # how change is measured in photographs
NC = "Nvidia Source Code License-NC (non-commercial)"
ADA = "NVIDIA Source Code License for StyleGAN2-ADA (non-commercial)"
S3 = "NVIDIA Source Code License for StyleGAN3 (non-commercial)"
TF_HOST = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks"
ADA_HOST = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained"
S3_HOST = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files"
GENFORCE = "https://github.com/genforce/genforce/blob/master/MODEL_ZOO.md"
ROSINALITY = "https://github.com/rosinality/stylegan2-pytorch"

TF = (
    ("ffhq-config-f", "faces", 1024),
    ("ffhq-config-e", "faces", 1024),
    ("car-config-f", "cars", 512),
    ("car-config-e", "cars", 512),
    ("cat-config-f", "cats", 256),
    ("church-config-f", "churches", 256),
    ("horse-config-f", "horses", 256),
)
ADA_FILES = (
    ("ffhq", "faces", 1024),
    ("metfaces", "painted-faces", 1024),
    ("afhqcat", "cats", 512),
    ("afhqdog", "dogs", 512),
    ("afhqwild", "wild-animals", 512),
    ("brecahad", "tissue", 512),
    ("cifar10", "cifar10", 32),
)
S3_FILES = (
    ("ffhq", "faces", 1024),
    ("ffhq", "faces", 512),
    ("ffhq", "faces", 256),
    ("ffhqu", "faces", 1024),
    ("ffhqu", "faces", 256),
    ("metfaces", "painted-faces", 1024),
    ("metfacesu", "painted-faces", 1024),
    ("afhqv2", "animals", 512),
    ("afhqcat", "cats", 512),
    ("afhqdog", "dogs", 512),
    ("afhqwild", "wild-animals", 512),
    ("brecahad", "tissue", 512),
    ("cifar10", "cifar10", 32),
    ("celebahq", "faces", 256),
    ("lsundog", "dogs", 256),
)
BY_HAND = (  # name, what it shows, file, resolution, where
    ("genforce-ffhq", "faces", "stylegan2_ffhq1024.pth", 1024, GENFORCE),
    ("genforce-church", "churches", "stylegan2_church256.pth", 256, GENFORCE),
    ("genforce-cat", "cats", "stylegan2_cat256.pth", 256, GENFORCE),
    ("genforce-horse", "horses", "stylegan2_horse256.pth", 256, GENFORCE),
    ("genforce-car", "cars", "stylegan2_car512.pth", 512, GENFORCE),
    ("rosinality-ffhq-256", "faces", "550000.pt", 256, ROSINALITY),
    ("rosinality-ffhq-1024", "faces", "stylegan2-ffhq-config-f.pt", 1024, f"a conversion by {ROSINALITY}"),
    ("rosinality-cat-256", "cats", "stylegan2-cat-config-f.pt", 256, f"a conversion by {ROSINALITY}"),
)
HASHES = {
    "ada-brecahad": "f9f0c2766187aff4c3424c4a5a67d52c503672f28cf08eab645382523b7a5161",
    "s3-ffhq-512": "d2b1c92f41ce8a64c55f7a75ef06c4c0eef9e17b1eb29aae8c10fb37b3e60478",
    "s3-ffhq-1024": "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c",
    "rosinality-ffhq-1024": "d0d7c5e71531c816b8cf01037393ee4fb65ed09dcb6434cc0197771e3051199b",
    "rosinality-cat-256": "ff1036877c8964ba7c9e84316e67ea26bea64bbfcf6bd6c645f45589d248727f",
}
SIZES = {1024: 382_000_000, 512: 364_000_000, 32: 246_000_000}  # of NVIDIA's PyTorch files


def _fetched(name: str, shows: str, url: str, resolution: int, licence: str, size: int | None) -> Checkpoint:
    file = url.rpartition("/")[2]
    return Checkpoint(
        name,
        DOMAIN,
        file,
        sha256=HASHES.get(name),
        size=size,
        url=url,
        licence=licence,
        resolution=resolution,
        card={"shows": shows},
    )


def _by_hand(name: str, shows: str, file: str, resolution: int, page: str) -> Checkpoint:
    about = {"shows": shows, "page": page}
    return Checkpoint(name, DOMAIN, file, sha256=HASHES.get(name), licence=NC, resolution=resolution, card=about)


OFFICIAL: tuple[Checkpoint, ...] = (
    *(_fetched(name, shows, f"{TF_HOST}/stylegan2-{name}.pkl", side, NC, None) for name, shows, side in TF),
    *(
        _fetched(f"ada-{name}", shows, f"{ADA_HOST}/{name}.pkl", side, ADA, SIZES.get(side))
        for name, shows, side in ADA_FILES
    ),
    *(
        _fetched(f"s3-{name}-{side}", shows, f"{S3_HOST}/stylegan2-{name}-{side}x{side}.pkl", side, S3, SIZES.get(side))
        for name, shows, side in S3_FILES
    ),
    *(_by_hand(*row) for row in BY_HAND),
)
