"""A generator of 24 x 24 grey images, smaller than every network of the metrics reads, is measured as any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import gdbench
from gdbench import Stream, fitted, normal
from gdbench.progress import PlainReporter
from gdbench.registry import Offer, Registry, load_registry
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.runs.stages import resizing
from gdbench.specs import resolve
from gdbench.testing.cases import Small
from gdbench.testing.runner import checks
from tests.core.test_console import screen


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = load_registry()
    toy = registry.generator("toy")

    def load(path: Path | None, params: Any, device: torch.device) -> Small:
        return Small(resolve(toy.spec.load)(path, params, device))

    small = Offer(replace(toy.spec, load=load), toy.provider)
    return replace(registry, generators={**registry.generators, "toy": small})


def test_every_default_metric_measures_it(registry: Registry, tmp_path: Path) -> None:
    request = RunRequest("toy", "random", k=4, tier="smoke", out=tmp_path)
    said = screen()
    record, _ = execute(plan(request, registry), registry, PlainReporter(said))
    assert record.status == "done", record.reason
    assert (
        "toy/none, domain toy: images of 24 x 24 px are resized to 32 x 32 px (the blur of enlarging counts as the "
        "generator's) and grey is repeated as red, green and blue before oracles read them\n" in said.file.getvalue()  # type: ignore[attr-defined]
    )
    numbers = [score.value for columns in record.scores.values() for score in columns.values()]
    assert sum(number is not None for number in numbers) > len(numbers) / 2


@pytest.mark.parametrize(
    ("rendered", "real", "told"),
    [
        ((3, 64, 64), (3, 64, 64), ""),
        ((3, 128, 64), (3, 64, 64), "images of 128 x 64 px are resized to 64 x 64 px (what is finer changes no score)"),
        ((3, 28, 28), (1, 28, 28), "colours are averaged to grey"),
        ((1, 28, 28), (3, 28, 28), "grey is repeated as red, green and blue"),
    ],
)
def test_it_is_told_what_happens_to_images_of_another_size(
    rendered: tuple[int, ...], real: tuple[int, ...], told: str
) -> None:
    assert resizing(rendered, real) == (told and f"{told} before oracles read them")


@pytest.mark.parametrize("name", ["naturalness", "reconstruction", "realism", "rca_paper", "saliency"])
def test_metrics_with_networks_of_their_own_measure_it(name: str) -> None:
    registry = load_registry()
    (clause,) = [check for check in checks(registry.metric(name), registry) if check.clause == "S11"]
    assert clause.run().status == "passed"


@pytest.mark.parametrize("domain", ["toy", "scenes", "mnist"])
@pytest.mark.parametrize("shape", [(1, 24, 24), (3, 24, 24), (3, 64, 48)])
def test_oracles_read_images_of_other_sizes(domain: str, shape: tuple[int, int, int]) -> None:
    loaded = gdbench.load_domain(domain)
    images = fitted(loaded.images(4, Stream(0, "test").at()), shape)
    for which in ("a", "b"):
        oracle = loaded.oracle(which)  # type: ignore[arg-type]
        assert oracle.mask(images).shape == (4, *shape[1:])
        assert {len(values) for values in oracle.read(images).values()} == {4}


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 32, 32)])
def test_images_that_fit_are_the_very_same(shape: tuple[int, int, int]) -> None:
    images = normal(Stream(0, "test").at(), 2, *shape)
    assert fitted(images, shape) is images


def test_a_larger_picture_of_one_grey_keeps_it() -> None:
    made = fitted(torch.full((2, 1, 24, 24), 0.25), (3, 32, 40))
    torch.testing.assert_close(made, torch.full((2, 3, 32, 40), 0.25))
