"""Files in both official SNGAN layouts must be recognised and render what the layout's own formulas give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gdbench_sngan.formats import convert, recognise
from gdbench_sngan.networks import Generator, infer_config
from torch import Tensor

from gdbench import UsageError
from tests.plugins.writers_sngan import (
    Dice,
    Sizes,
    latent_discovery,
    mimicry,
    render_latent_discovery,
    render_mimicry,
    write_folder,
)

TABLE = {
    "32 px, equal widths": Sizes((6, 6, 6, 6), base=4),
    "64 px, falling widths": Sizes((10, 8, 6, 5, 4)),
    "48 px from 6": Sizes((8, 6, 5, 4), base=6),
    "grey": Sizes((6, 6), channels=1),
    "mixed widths": Sizes((6, 6, 4), latent=7),
}


def rendered(path: Path, z: Tensor, labels: Tensor | None = None) -> Tensor:
    tensors, facts = convert(path)
    network = Generator(infer_config(tensors, **facts)).eval()
    network.load_state_dict(tensors)
    with torch.no_grad():
        return network(z, labels=labels)


def assert_equal_images(images: Tensor, reference: Tensor) -> None:
    assert images.shape == reference.shape
    assert (images.double() - reference).abs().max() < 1e-5


@pytest.mark.parametrize("sizes", TABLE.values(), ids=TABLE.keys())
def test_latent_discovery_renders_as_its_formulas_say(sizes: Sizes, tmp_path: Path) -> None:
    state, z = latent_discovery(sizes), Dice(1)(3, sizes.latent)
    write_folder(tmp_path / "SN_Anime", state, latent_dim=sizes.latent)
    for path in (tmp_path / "SN_Anime", tmp_path / "SN_Anime" / "generator.pt"):
        assert recognise(path) == "ganlatentdiscovery"
        assert_equal_images(rendered(path, z), render_latent_discovery(state, sizes, z))


@pytest.mark.parametrize("sizes", TABLE.values(), ids=TABLE.keys())
def test_mimicry_renders_as_its_formulas_say(sizes: Sizes, tmp_path: Path) -> None:
    content, z = mimicry(sizes), Dice(1)(3, sizes.latent)
    torch.save(content, tmp_path / "netG.pth")
    assert recognise(tmp_path / "netG.pth") == "mimicry"
    assert_equal_images(rendered(tmp_path / "netG.pth", z), render_mimicry(content, sizes, z))


def test_data_parallel_state_dicts(tmp_path: Path) -> None:
    sizes = Sizes()
    content, z = mimicry(sizes), Dice(1)(2, sizes.latent)
    torch.save({f"module.{name}": value for name, value in content["model_state_dict"].items()}, tmp_path / "netG.pth")
    assert_equal_images(rendered(tmp_path / "netG.pth", z), render_mimicry(content, sizes, z))


def test_the_latest_step_of_a_training_folder(tmp_path: Path) -> None:
    sizes = Sizes()
    write_folder(tmp_path / "run", latent_discovery(sizes, seed=0), "generator_9000.pt")
    state, z = latent_discovery(sizes, seed=1), Dice(1)(2, sizes.latent)
    torch.save(state, tmp_path / "run" / "generator_10000.pt")
    assert_equal_images(rendered(tmp_path / "run", z), render_latent_discovery(state, sizes, z))


@pytest.mark.parametrize("sizes", [Sizes(classes=3), Sizes((6, 6), classes=10)])
def test_conditional_files(sizes: Sizes, tmp_path: Path) -> None:
    content, z = mimicry(sizes), Dice(1)(4, sizes.latent)
    torch.save(content, tmp_path / "netG.pth")
    labels = torch.tensor([0, 2, 1, 2])
    images = rendered(tmp_path / "netG.pth", z, labels)
    assert_equal_images(images, render_mimicry(content, sizes, z, labels))
    soft = torch.nn.functional.one_hot(labels, sizes.classes).float()
    assert_equal_images(rendered(tmp_path / "netG.pth", z, soft), images.double())


@pytest.mark.parametrize("arguments", [{"gen_sn": True}, {"model": "dcgan"}])
def test_arguments_that_ask_for_another_network(arguments: dict[str, Any], tmp_path: Path) -> None:
    write_folder(tmp_path / "run", latent_discovery(Sizes()), **arguments)
    with pytest.raises(UsageError, match=r"args\.json"):
        convert(tmp_path / "run")


def test_damaged_arguments(tmp_path: Path) -> None:
    write_folder(tmp_path / "run", latent_discovery(Sizes()))
    for text in ("{", "[]"):
        (tmp_path / "run" / "args.json").write_text(text)
        with pytest.raises(UsageError, match=r"args\.json"):
            convert(tmp_path / "run")


def test_sagan_is_named(tmp_path: Path) -> None:
    content = mimicry(Sizes())
    content["model_state_dict"]["attn_block.gamma"] = torch.zeros(1)
    torch.save(content, tmp_path / "netG.pth")
    with pytest.raises(UsageError, match="attention"):
        convert(tmp_path / "netG.pth")


def test_strangers_are_not_recognised(tmp_path: Path) -> None:
    for i, content in enumerate(({"style.1.weight": torch.zeros(2)}, {"model_state_dict": 3}, [1], torch.zeros(1))):
        torch.save(content, tmp_path / f"{i}.pt")
        assert recognise(tmp_path / f"{i}.pt") is None
    (tmp_path / "folder").mkdir()
    assert recognise(tmp_path / "folder") is None
    with pytest.raises(UsageError, match="not an SNGAN"):
        convert(tmp_path / "folder")
