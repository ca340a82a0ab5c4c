"""The domain of digits: offline, its held-out images, and what the shipped oracles read off them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_mnist import files, oracle, train_oracle
from gdbench_mnist.domain import Mnist, load, to_images
from gdbench_mnist.heldout import held_out
from gdbench_mnist.train_oracle import moved

from gdbench import IntegrityError, MissingFile, Stream, UsageError, load_domain

CPU = torch.device("cpu")
WHICH: tuple[oracle.Which, ...] = ("a", "b")


@pytest.fixture(scope="module")
def domain() -> Mnist:
    return load(CPU)


def test_it_works_without_the_files_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDBENCH_MNIST", str(tmp_path / "nothing"))
    offline = load_domain("mnist")
    images, truth = offline.truth(5, np.random.default_rng(0))
    assert images.shape == (5, 1, 32, 32)
    assert set(truth) == {factor.name for factor in offline.factors}
    assert set(offline.oracle("b").read(images)) == set(truth)


def test_every_image_comes_once_before_one_comes_again(domain: Mnist) -> None:
    images = domain.images(2100, np.random.default_rng(0)).flatten(1)
    assert len(images[:2000].unique(dim=0)) == len(to_images(files.held_out()[0]).flatten(1).unique(dim=0))
    assert len(domain.images(0, np.random.default_rng(0))) == 0


def test_truth_is_the_label_of_the_very_image(domain: Mnist) -> None:
    images, truth = domain.truth(60, np.random.default_rng(1))
    by_content = {picture.tobytes(): int(digit) for picture, digit in zip(*files.held_out(), strict=True)}
    pictures = ((images[:, 0, 2:-2, 2:-2] + 1) * 127.5).round().to(torch.uint8).numpy()
    assert [by_content[picture.tobytes()] for picture in pictures] == truth["digit"].tolist()


def test_digits_have_no_masks(domain: Mnist) -> None:
    with pytest.raises(UsageError, match="no masks"):
        domain.pairs(4, np.random.default_rng(0))


@pytest.mark.parametrize("which", WHICH)
def test_an_oracle_reads_the_digits_as_its_card_says(domain: Mnist, which: oracle.Which) -> None:
    card = json.loads(oracle.paths(which)[1].read_text())
    pictures, digits = files.held_out()
    network = domain.oracle(which).network
    parts = torch.split(to_images(pictures), 250)
    read = torch.cat([network.digit(network.features(network.trunk(part)[-1])).argmax(1) for part in parts])
    accuracy = float((read.numpy() == digits).mean())
    assert accuracy == pytest.approx(card["held_out"]["digit"], abs=0.001)
    assert accuracy >= 0.97


@pytest.mark.parametrize("which", WHICH)
def test_an_oracle_measures_as_its_card_says(domain: Mnist, which: oracle.Which) -> None:
    card = json.loads(oracle.paths(which)[1].read_text())
    figures = held_out(domain.oracle(which), 200)
    for name, passed in card["passed"].items():
        assert passed
        assert card["held_out"][name] >= 0.95
        assert figures[name] == pytest.approx(card["held_out"][name], abs=0.03), name


def test_the_oracles_are_two(domain: Mnist) -> None:
    images = domain.images(200, np.random.default_rng(0))
    a, b = (domain.oracle(which).read(images) for which in WHICH)
    assert type(domain.oracle("a").network) is not type(domain.oracle("b").network)
    assert float((a["digit"].argmax(1) == b["digit"].argmax(1)).double().mean()) > 0.97
    for name in ("thickness", "slant", "width", "height", "area"):
        assert not torch.equal(a[name], b[name])


@pytest.mark.parametrize("which", WHICH)
def test_the_mask_tells_ink_from_paper(domain: Mnist, which: oracle.Which) -> None:
    image = torch.tensor([-1.0, -0.4, 0.4, 1.0]).reshape(1, 1, 2, 2)
    mask = domain.oracle(which).mask(image).flatten()
    assert (mask > 0.5).tolist() == [False, False, True, True]
    assert mask.diff().min() > 0


@pytest.mark.parametrize("which", WHICH)
def test_digits_in_three_equal_colours_read_as_grey_ones(domain: Mnist, which: oracle.Which) -> None:
    images = domain.images(8, Stream(0, "test").at())
    seen, again = (domain.oracle(which).read(shown) for shown in (images, images.expand(-1, 3, -1, -1)))
    for name, values in seen.items():
        torch.testing.assert_close(again[name], values, rtol=1e-3, atol=1e-4)


def test_missing_and_changed_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="train_oracle --which a"):
        oracle.load("a", CPU, tmp_path)
    weights, card = oracle.paths("a", tmp_path)
    weights.write_bytes(oracle.paths("a")[0].read_bytes() + b"x")
    card.write_text(oracle.paths("a")[1].read_text())
    with pytest.raises(IntegrityError, match="sha256 differs"):
        oracle.load("a", CPU, tmp_path)


def test_disturbed_training_images_keep_paper_around_the_digit() -> None:
    images = moved(to_images(files.held_out()[0][:32]), np.random.default_rng(0))
    assert float(images.min()) == -1
    assert float(images[:, :, 0].mean()) < -0.99
    assert float((images > 0).float().mean()) == pytest.approx(0.12, abs=0.04)


def test_a_training_is_the_same_again_and_its_card_is_honest(tmp_path: Path) -> None:
    pictures, digits = files.held_out()
    images, classes = to_images(pictures[:200]), torch.from_numpy(digits[:200].astype(np.int64))
    first, second = (train_oracle.train("b", images, classes, 2) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    facts = {"images": 200, "steps": 2, "cpu_minutes": 0.0}
    card = json.loads(train_oracle.publish(first, "b", facts, tmp_path, judged=50))
    assert not card["passed"]["digit"]
    assert not oracle.load("b", CPU, tmp_path).passed["digit"]
