"""Cards of published SNGAN weights; all must be downloaded by hand, and none has a published hash.

mimicry's SSGAN, InfoMax-GAN and WGAN-GP generators have the same layout and are imported alike.
"""

from __future__ import annotations

from gdbench import Checkpoint

DOMAIN = "natural"  # how change is measured in photographs
LATENT_DISCOVERY = "https://github.com/anvoynov/GANLatentDiscovery (unpack, then give the folder)"
DRIVE = "https://drive.google.com/open?id="
MIMICRY = (  # name, what it shows, resolution, Google Drive id
    ("mimicry-celeba-128", "faces", 128, "1rYnv2tCADbzljYlnc8Ypy-JTTipJlRyN"),
    ("mimicry-celeba-64", "faces", 64, "1d9pYKKW9Hgi-ylOKwU0UM1ZsmUyD8Bpj"),
    ("mimicry-bedroom-128", "bedrooms", 128, "1SrvdLM-5mUVYwEztY-6TVAdTKlNPUA7k"),
    ("mimicry-stl10-48", "stl10", 48, "1tVRXDHgUTpBwfGh0RJvdjw2EUOGu-m-A"),
    ("mimicry-imagenet-128", "imagenet", 128, "1ZmjV9iMFgmthCgOKpMp8vKCIVQh_XPiR"),
    ("mimicry-imagenet-32", "imagenet", 32, "1LF-tNfbVmHHw8onneOz3V5b-j2ff-Kh2"),
    ("mimicry-cifar10-32", "cifar10", 32, "16TxezS7VBTiuPdQdjDUM0-_rHXqyPrvr"),
    ("mimicry-cifar100-32", "cifar100", 32, "16XtxZd6ARXjfTBuOZml_FpR0WVaWkToA"),
    ("mimicry-cgan-pd-imagenet-32", "imagenet", 32, "1gHduZDIP9QOr-YgkB3_4p4vU-gjCPnRH"),
    ("mimicry-cgan-pd-cifar10-32", "cifar10", 32, "12nGJZjJyi-RJQFj98MlrSqhA_uST2_1n"),
    ("mimicry-cgan-pd-cifar100-32", "cifar100", 32, "1wQY5IbqD_CcuVwpGZXfMdWxh7OZHrQxM"),
)


def _latent_discovery(name: str, domain: str, shows: str, resolution: int, tar: str) -> Checkpoint:
    about = {"shows": shows, "page": LATENT_DISCOVERY}
    return Checkpoint(name, domain, tar, licence="not stated for the weights", resolution=resolution, card=about)


OFFICIAL: tuple[Checkpoint, ...] = (
    _latent_discovery("sn-mnist", "mnist", "digits", 32, "pretrained_mnist.tar"),
    _latent_discovery("sn-anime", DOMAIN, "anime-faces", 64, "pretrained_anime.tar"),
    *(
        Checkpoint(
            name,
            DOMAIN,
            f"{name}.pth",
            licence="MIT",
            resolution=side,
            card={"shows": shows, "page": f"{DRIVE}{drive}"},
        )
        for name, shows, side, drive in MIMICRY
    ),
)
