"""Optional members have names: ``isinstance`` tells who has them, through the wrappers of a run too."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from gdbench_mnist.domain import load as load_mnist

import gdbench
from gdbench import (
    ChannelWeights,
    DataFolder,
    Features,
    FiniteImages,
    Licensed,
    LinearDirections,
    MapsToW,
    ModulationWeights,
    OwnFeatures,
    Programmed,
    StepLengths,
    StraightDirections,
    TrainingImages,
)
from gdbench.evaluation.perception import embed, image_features
from gdbench.runs.counting import Counted
from gdbench.runs.guarded import GuardedDomain, GuardedOracle

OF_DOMAINS = (TrainingImages, FiniteImages, DataFolder, Licensed)
OF_GENERATORS = (Features, MapsToW, ModulationWeights, Programmed)


def has(value: object, *protocols: type) -> list[bool]:
    return [isinstance(value, protocol) for protocol in protocols]


def test_domains_say_what_they_have_beside() -> None:
    mnist, toy = load_mnist(torch.device("cpu")), gdbench.load_domain("toy")
    assert has(mnist, *OF_DOMAINS) == [True] * 4
    assert has(toy, *OF_DOMAINS) == [False] * 4


def test_generators_say_what_they_have_beside() -> None:
    assert has(gdbench.load_generator("toy"), *OF_GENERATORS) == [True, False, True, False]
    assert has(gdbench.load_generator("sngan"), *OF_GENERATORS) == [True, False, True, True]


def test_the_wrappers_of_a_run_have_what_they_wrap() -> None:
    mnist, toy = load_mnist(torch.device("cpu")), gdbench.load_generator("toy")
    assert has(GuardedDomain(mnist, "domain mnist"), *OF_DOMAINS) == [True] * 4
    assert has(Counted(toy), *OF_GENERATORS) == has(toy, *OF_GENERATORS)
    wrapped = GuardedOracle(Learned(), "oracle a")  # type: ignore[arg-type]
    assert has(wrapped, ChannelWeights, OwnFeatures) == [True, True]
    for name in ("channel_weights", "features"):  # as Python 3.12 and later look for them
        inspect.getattr_static(wrapped, name)


@pytest.mark.parametrize(("unit", "lengths"), [(None, [1.0, 1.0]), (torch.tensor([2.0, 3.0]), [2.0, 3.0])])
def test_straight_directions_have_vectors_and_lengths(unit: Any, lengths: list[float]) -> None:
    directions = LinearDirections(torch.eye(4)[:2], "z", unit)
    assert has(directions, StraightDirections, StepLengths) == [True, True]
    assert directions.unit is not None
    assert directions.unit.tolist() == lengths


class Plain:
    """An oracle without anything beside."""

    def embed(self, images: torch.Tensor) -> Any:
        return [torch.stack([images[:, 0], 1 - images[:, 0]], 1)], images.mean((2, 3))


class Learned(Plain):
    """An oracle whose first channel alone counts, with features of its own."""

    channel_weights = (torch.tensor([1.0, 0.0]),)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum((2, 3))


def test_weights_and_features_of_an_oracle_are_used() -> None:
    images = torch.full((1, 3, 2, 2), 0.5)
    plain, learned = Plain(), Learned()
    assert embed(plain, images).maps.count_nonzero() == 8  # type: ignore[arg-type]
    assert embed(learned, images).maps.count_nonzero() == 4  # type: ignore[arg-type]
    assert image_features(plain, images)[0].tolist() == [0.5] * 3  # type: ignore[arg-type]
    assert image_features(learned, images)[0].tolist() == [2.0] * 3  # type: ignore[arg-type]
