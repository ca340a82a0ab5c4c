"""How ProGAN is grown: the schedule, fading, the equalised learning rate, the gradient penalty."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_progan.discriminator import Discriminator, equalise, minibatch_deviation
from gdbench_progan.networks import build
from gdbench_progan.recipe import Recipe, blend, shrink
from torch import Tensor, nn

from gdbench import Stream, initialised

RECIPE = Recipe(latent_dim=6, widths=(8, 6, 4), batch=4, phase=10)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def made(rng: np.random.Generator) -> tuple[Any, Any]:
    return initialised(rng, RECIPE.generator), initialised(rng, RECIPE.discriminator)


def test_resolutions_come_one_after_another() -> None:
    steps = {0: 2, 10: 2, 15: 1.5, 20: 1, 30: 1, 32: 0.8, 40: 0, 1000: 0}
    assert {step: round(RECIPE.lod(step), 9) for step in steps} == steps


def test_the_learning_rate_falls_to_zero_in_the_last_quarter() -> None:
    assert [RECIPE.rate(progress) for progress in (0, 0.75, 0.875, 1, 1.01)] == pytest.approx([1, 1, 0.5, 0, 0])


def test_weights_are_normal_and_scaled_at_run_time(rng: np.random.Generator) -> None:
    layer: Any = equalise(nn.Conv2d(50, 40, 3))
    stored = layer.parametrizations.weight.original
    assert abs(float(stored.detach().std()) - 1) < 0.02
    torch.testing.assert_close(layer.weight, stored * (2 / 450) ** 0.5)
    generator, _ = made(rng)
    stored = generator.linear.parametrizations.weight.original
    torch.testing.assert_close(generator.linear.weight, stored * (2 / (16 * 6)) ** 0.5)


def test_settled_weights_are_plain_and_draw_the_same_images(rng: np.random.Generator) -> None:
    generator, _ = made(rng)
    generator.lod.fill_(0.3)
    settled = copy.deepcopy(generator)
    RECIPE.settle(settled, rng)
    (z,) = RECIPE.inputs(3, rng)
    images = generator(z)
    torch.testing.assert_close(settled(z), images)
    torch.testing.assert_close(build(settled.state_dict(), **RECIPE.facts())(z), images)


def test_minibatch_deviation_is_that_of_its_group(rng: np.random.Generator) -> None:
    x = rng.standard_normal((8, 3, 2, 2))
    result = minibatch_deviation(torch.from_numpy(x)).numpy()
    assert np.array_equal(result[:, :3], x)
    for i in range(2):  # group i holds every second image
        expected = np.sqrt(x[i::2].var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(result[i::2, 3], expected)


def test_a_faded_out_resolution_does_not_matter(rng: np.random.Generator) -> None:
    generator, discriminator = made(rng)
    images = torch.from_numpy(rng.standard_normal((4, 3, 16, 16))).float()
    torch.testing.assert_close(
        discriminator(images, 1 - 1e-7), discriminator(shrink(images, 1.0)), atol=1e-5, rtol=1e-5
    )
    (z,) = RECIPE.inputs(4, rng)
    torch.testing.assert_close(generator(z, lod=1 - 1e-7), generator(z, lod=1.0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        blend(images, 1 - 1e-7), blend(shrink(images, 1.0).repeat_interleave(2, 2).repeat_interleave(2, 3), 0)
    )


class Linear(nn.Module):
    """A discriminator of known slope."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 4, 4), 3 / 48**0.5))

    def forward(self, x: Tensor, fade: float) -> Tensor:
        return (x * self.weight).sum((1, 2, 3))


def test_the_gradient_penalty_of_a_plane_is_known(rng: np.random.Generator) -> None:
    net: Any = Linear()
    before = net.weight.detach().clone()
    reals, fakes = torch.zeros(4, 3, 4, 4), torch.ones(4, 3, 4, 4)
    shown = RECIPE._discriminate(net, torch.optim.SGD(net.parameters(), 0.01), reals, fakes, 2.0, rng)
    assert float(shown["penalty"]) == pytest.approx((3 - 1) ** 2, rel=1e-5)
    # d/dw of mean D(fakes) is 1; of 10 (|w| - 1)^2 it is 20 (|w| - 1) w / |w|
    torch.testing.assert_close(net.weight.detach(), before - 0.01 * (1 + 40 * before / 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("step", [0, 14, 40])
def test_a_step_moves_both_players_and_repeats_exactly(step: int) -> None:
    ends = []
    for _ in range(2):
        rng = np.random.default_rng(1)
        generator, discriminator = made(rng)
        start = copy.deepcopy(generator.state_dict()), copy.deepcopy(discriminator.state_dict())
        reals = torch.from_numpy(rng.uniform(-1, 1, (4, 3, 16, 16))).float()
        optimisers = RECIPE.optimisers(generator, discriminator)
        shown = RECIPE.update(generator, discriminator, optimisers, reals, step, Stream(0, "x").at())
        assert all(torch.isfinite(value) for value in shown.values())
        assert float(generator.lod) == pytest.approx(RECIPE.lod(step))
        for network, old in ((generator, start[0]), (discriminator, start[1])):
            assert any(
                not torch.equal(value, old[name]) for name, value in network.state_dict().items() if name != "lod"
            )
            assert all(parameter.requires_grad for parameter in network.parameters())
        ends.append(generator.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_discriminator_sees_every_size(rng: np.random.Generator) -> None:
    discriminator = initialised(rng, lambda: Discriminator((8, 6, 4)))
    assert all(discriminator(torch.zeros(4, 3, side, side)).shape == (4,) for side in (4, 8, 16))
