"""From a file on disk to a picture of its directions in two commands: a small file of every format that the page names.

The second command is the one that the first prints; only the size of the run is added, for the networks are tiny.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gdbench.cli import build_app
from gdbench.registry import load_registry
from tests.plugins import writers_biggan as biggan
from tests.plugins import writers_progan as progan
from tests.plugins import writers_sngan as sngan
from tests.plugins import writers_stylegan2 as stylegan2
from tests.plugins import writers_stylegan3 as stylegan3

BY_LAYOUT = {layout.name: layout for layout in stylegan2.LAYOUTS}
LAYERS = ((False, 4, 4), (True, 4, 2), (True, 2, 1))


def styled(name: str) -> Callable[[Path], object]:
    return lambda path: BY_LAYOUT[name].write(path, stylegan2.Sizes())


def saved(make: Callable[[], object]) -> Callable[[Path], object]:
    return lambda path: torch.save(make(), path)


def zoo(path: Path) -> object:
    return progan.save_gan_zoo(path, *progan.gan_zoo())


def psp(path: Path) -> None:
    state, _ = stylegan2.rosinality(stylegan2.Sizes())
    decoder = {f"decoder.{name}": value for name, value in state["g_ema"].items()}
    torch.save({"state_dict": {**decoder, "encoder.w": torch.zeros(2)}, "opts": {}}, path)


def deep(path: Path) -> object:
    return biggan.save_folder(path, biggan.deep(np.random.default_rng(0), LAYERS), LAYERS)


def discovery(path: Path) -> None:
    sngan.write_folder(path, sngan.latent_discovery(sngan.Sizes()))


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "rosinality": ("550000.pt", styled("rosinality")),
    "StyleGAN2-ADA": ("network-snapshot-025000.pkl", styled("nvidia-pytorch")),
    "StyleGAN3": (
        "network-snapshot-005000.pkl",
        lambda path: stylegan3.write(path, stylegan3.drawn(stylegan3.Sizes(resolution=32))),
    ),
    "StyleGAN2 (TensorFlow)": ("stylegan2-ffhq-config-f.pkl", styled("nvidia-tf")),
    "genforce": ("stylegan2_ffhq1024.pth", styled("genforce")),
    "pSp": ("psp_ffhq_encode.pt", psp),
    "ajbrock": ("G_ema.pth", saved(lambda: biggan.ajbrock(np.random.default_rng(0), (2, 2, 1), classes=7))),
    "Hugging Face": ("biggan-deep-128", deep),
    "ProGAN (TensorFlow)": (
        "karras2018iclr-celebahq-1024x1024.pkl",
        lambda path: progan.save_nvidia(path, progan.nvidia()),
    ),
    "ptrblck": ("100_celeb_hq_network-snapshot-010403.pth", saved(progan.ptrblck)),
    "gandissect": ("church_lsun.pth", saved(progan.gandissect)),
    "pytorch_GAN_zoo": ("celebaHQ_s6_i80000-6196db68.pth", zoo),
    "mimicry": ("netG_100000_steps.pth", saved(lambda: sngan.mimicry(sngan.Sizes()))),
    "GANLatentDiscovery": ("SN_Anime", discovery),
}


@pytest.mark.parametrize("known_as", FILES)
def test_a_file_of_every_format_becomes_a_picture_in_two_commands(
    known_as: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    name, write = FILES[known_as]
    write(tmp_path / name)
    imported = typed(f"gdbench checkpoint import {name}")
    said = dict(line.split(": ", 1) for line in imported.splitlines() if ": " in line)
    assert said["needs"].startswith("gdbench checkpoint fetch"), imported
    command = " ".join(shlex.split(said["or now"], comments=True))
    typed(f"{command} --k 3 --tier smoke --metrics cost --device cpu --threads 1")
    (picture,) = tmp_path.glob("runs/*/pictures/directions.png")
    with Image.open(picture) as image:
        assert min(image.size) >= 32
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20  # something is drawn


def typed(command: str) -> str:
    """Standard output of a command that ends well, in this process."""
    result = CliRunner().invoke(build_app(load_registry()), shlex.split(command)[1:])
    assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
    return result.stdout
