"""The domain as other plugins see it: its declaration, its draws and its rules of visibility."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from gdbench_scenes import gdbench_domains
from gdbench_scenes.domain import Scenes, load

from gdbench import DomainSpec, distance, embed


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return load(torch.device("cpu"))


def test_the_hook_offers_the_domain() -> None:
    (spec,) = gdbench_domains()
    assert isinstance(spec, DomainSpec)
    assert (spec.name, set(spec.offers)) == ("scenes", {"factors", "masks", "images"})


def test_declaring_imports_nothing_heavy() -> None:
    code = "import sys, gdbench_scenes; print(sorted({'torch', 'numpy', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_one_generator_gives_the_same_pictures_in_every_form(scenes: Scenes) -> None:
    images = scenes.images(20, np.random.default_rng(3))
    paired, masks = scenes.pairs(20, np.random.default_rng(3))
    true_images, true = scenes.truth(20, np.random.default_rng(3))
    assert torch.equal(images, paired)
    assert torch.equal(images, true_images)
    assert masks.shape == (20, 32, 32)
    assert set(true) == {factor.name for factor in scenes.factors}
    assert true["shape"].dtype == torch.int64


def test_background_factors_say_when_they_can_be_seen(scenes: Scenes) -> None:
    rules = {factor.name: factor.visible_with for factor in scenes.factors if factor.visible_with}
    assert rules == {
        "background_hue": ("presence", 0.3),
        "texture": ("presence", 0.3),
        "phase": ("texture", 0.2),
    }


def test_distance_grows_with_the_change(scenes: Scenes) -> None:
    images = scenes.images(64, np.random.default_rng(4))
    a = scenes.oracle("a")
    here, near, far = (embed(a, batch) for batch in (images, images * 0.95, images.roll(1, 0)))
    assert distance(here, here).max() == 0
    assert (distance(here, near) > 0).all()
    assert (distance(here, near) < distance(here, far)).float().mean() > 0.95
