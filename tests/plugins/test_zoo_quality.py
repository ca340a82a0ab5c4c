"""The quality gates of cards, on a planted generator whose steerable factors are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pytest
import torch
from gdbench_zoo.quality import balance, holds, measure, rare, realism
from torch import Tensor

from gdbench import Codes, Factor, normal

SHAPE = Factor("shape", "class")
PLACE = Factor("x")
HUE = Factor("hue", "circular", ("x", 0.0))
SMALL = Factor("small")


@dataclass(frozen=True)
class PlantedOracle:
    """Reads the pixels that the planted generator writes its latents to."""

    passed: Mapping[str, bool] = field(default_factory=dict)

    def read(self, images: Tensor) -> dict[str, Tensor]:
        pixels = images.flatten(1)
        turns = torch.atan2(pixels[:, 1], pixels[:, 2]) / (2 * torch.pi) % 1
        shape = torch.stack([pixels[:, 3], -pixels[:, 3]], 1).mul(20).softmax(1)
        return {"shape": shape, "x": pixels[:, 0], "hue": turns, "small": pixels[:, 4] * 1e-3}

    def embed(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        return [torch.cat([images + 2, 2 - images], 1)], images.flatten(1)

    def mask(self, images: Tensor) -> Tensor:
        """The object is gone in the tenth of images with the largest pixel 6."""
        return (images.flatten(1)[:, 6] < 0.128)[:, None, None].expand(-1, 8, 8).float()


@dataclass(frozen=True)
class Planted:
    """Domain and generator: pixels are a tenth of the latents."""

    name: str = "planted"
    domain: str = "planted"
    distance: str = "planted"
    factors: tuple[Factor, ...] = (SHAPE, PLACE, HUE, SMALL)
    spaces: tuple[str, ...] = ("z",)
    image_shape: tuple[int, int, int] = (1, 3, 3)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def dim(self, space: str) -> int:
        return 9

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(normal(rng, n, 9), space)

    def render(self, codes: Codes) -> Tensor:
        return codes.latents.reshape(-1, 1, 3, 3) / 10

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        return self.render(self.sample(n, "z", rng))

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        raise NotImplementedError

    def oracle(self, which: Literal["a", "b"]) -> PlantedOracle:
        return PlantedOracle()


def test_the_balance_of_a_class_is_its_share_against_the_share_in_the_data() -> None:
    fake = torch.eye(3)[[0, 0, 0, 0, 0, 0, 0, 1, 2, 2]]
    real = torch.eye(3)[[0, 0, 1, 1, 1, 2, 2, 2, 2, 2]]
    assert balance(fake, real).tolist() == pytest.approx([3.5, 1 / 3, 0.4])
    assert balance(fake, torch.eye(3)[[0, 0, 1]])[2] == 1  # the data lack it too


def test_rare_classes_have_less_than_half_of_their_share_and_a_name() -> None:
    assert rare(SHAPE, [1.3, 0.5, 0.49]) == ["2"]
    assert rare(replace(SHAPE, classes=("disc", "ring", "plus")), [1.3, 0.5, 0.49]) == ["plus"]


@dataclass(frozen=True)
class OneShape(Planted):
    """A generator that draws the first class only, and the second once in fifty images."""

    def render(self, codes: Codes) -> Tensor:
        latents = codes.latents.clone()
        latents[:, 3] = latents[:, 3].abs() * torch.where(latents[:, 7] > 2.05, -1, 1)
        return super().render(Codes(latents, codes.space))


def test_a_generator_that_drops_a_class_misses_the_gate_of_balance() -> None:
    figures = measure(OneShape(), Planted(factors=(replace(SHAPE, classes=("disc", "plus")), PLACE)), samples=500)
    assert figures["gates"]["shape_balance"] == pytest.approx(2 * 0.0202, abs=0.03)
    assert "shape_balance" in figures["missed"]
    assert figures["rare"] == {"shape": ["plus"]}
    assert "shape" not in figures["lacking"]  # what is there can be told apart and steered
    assert not figures["passed"]


def test_gates_follow_the_number_of_factors() -> None:
    assert [holds("steered_factors", value, 11) for value in (5, 6)] == [False, True]
    assert [holds("steered_factors", value, 6) for value in (4, 5)] == [False, True]
    assert [holds("digit_agreement", value, 6) for value in (0.89, 0.9)] == [False, True]
    assert [holds("shape_balance", value, 11) for value in (0.49, 0.5)] == [False, True]
    assert [holds("without_object", value, 6) for value in (0.02, 0.019)] == [False, True]


@dataclass(frozen=True)
class Few(Planted):
    """A domain with 300 images, numbered in their first pixel."""

    real_images: int = 300

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        assert n <= self.real_images
        rows = torch.from_numpy(rng.permutation(self.real_images)[:n])
        return super().images(self.real_images, np.random.default_rng(0))[rows]


def test_real_images_are_compared_with_others_where_there_are_few() -> None:
    fake = Few().images(300, np.random.default_rng(1)).flatten(1)
    few, many = realism(Few(), fake), realism(Planted(), fake)
    assert few["images"] == 150
    assert "images" not in many
    assert few["real_frechet"] > 0  # the same images twice would give 0


def test_a_domain_names_the_figures_of_its_classes() -> None:
    digit = Factor("digit", "class")

    class Digits(PlantedOracle):
        def read(self, images: Tensor) -> dict[str, Tensor]:
            return {"digit": super().read(images)["shape"]}

    @dataclass(frozen=True)
    class Written(Planted):
        factors: tuple[Factor, ...] = (digit,)

        def oracle(self, which: Literal["a", "b"]) -> PlantedOracle:
            return Digits()

    figures = measure(Written(), Written(), samples=200)
    assert list(figures["gates"]) == ["without_object", "digit_agreement", "digit_balance", "steered_factors"]
    assert len(figures["digit_shares"]) == 2
    assert figures["rare"] == {"digit": []}


def test_a_planted_generator_gets_its_known_figures() -> None:
    planted = Planted()
    figures = measure(planted, planted, samples=2000)
    assert figures["gates"]["without_object"] == pytest.approx(0.1, abs=0.02)
    assert figures["gates"]["shape_agreement"] == 1
    assert figures["gates"]["shape_balance"] > 0.9
    assert figures["lacking"] == []  # a visible edit along its own axis moves even a factor of tiny scale
    assert figures["missed"] == ["without_object"]
    assert figures["gates"]["steered_factors"] == 4
    assert not figures["passed"]
    assert all(
        figures["steering"][name] > 2 * figures["steering_of_random_directions"][name] for name in ("x", "small")
    )
    assert figures["r2"]["z"]["x"] == pytest.approx(1)
    assert figures["r2"]["z"]["shuffled"] < 0.05
    assert figures["realism"]["frechet"] < 0.01
    assert figures["realism"]["precision"] > 0.85


@dataclass(frozen=True)
class Mapped(Planted):
    """A generator with a mapping, whose last space is none of these: w is z turned round, and images show w."""

    spaces: tuple[str, ...] = ("w", "z", "s")

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        codes = super().sample(n, "z", rng)
        return codes if space == "z" else replace(self.map(codes), space=space)

    def map(self, codes: Codes) -> Codes:
        assert codes.space == "z"
        return Codes(codes.latents.flip(1), "w")

    def render(self, codes: Codes) -> Tensor:
        return super().render(self.map(codes) if codes.space == "z" else codes)


def test_figures_are_of_codes_from_z_and_of_w_whatever_other_spaces_there_are() -> None:
    figures = measure(Mapped(), Planted(factors=(SHAPE, PLACE)), samples=300)
    assert list(figures["r2"]) == ["z", "w"]
    assert figures["r2"]["z"]["x"] == figures["r2"]["w"]["x"] == pytest.approx(1)
