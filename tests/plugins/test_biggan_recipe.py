"""How a small BigGAN is trained: spectral norms, the projection, standing statistics."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_biggan.networks import build
from gdbench_biggan.recipe import Recipe
from torch import nn

from gdbench import Stream, initialised

RECIPE = Recipe(
    classes=3,
    class_dim=5,
    latent_dim=12,
    widths=(16, 8, 8, 4),
    discriminator_widths=(4, 8, 8, 16),
    batch=6,
    settle_batches=3,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def made(rng: np.random.Generator) -> tuple[Any, Any]:
    return initialised(rng, RECIPE.generator), initialised(rng, RECIPE.discriminator)


def test_every_layer_of_both_players_has_norm_one(rng: np.random.Generator) -> None:
    generator, discriminator = made(rng)
    for network in (generator, discriminator):
        layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for layer in layers:
            layer.parametrizations.weight.original.data.mul_(3)
            norm = np.linalg.norm(layer.weight.detach().flatten(1).double().numpy(), 2)
            assert norm == pytest.approx(1, abs=0.02)


def test_the_class_enters_the_discriminator_through_a_projection(rng: np.random.Generator) -> None:
    _, discriminator = made(rng)
    discriminator.eval()
    images = torch.from_numpy(rng.uniform(-1, 1, (4, 3, 32, 32))).float()
    zero, two = (discriminator(images, torch.full((4,), i)) for i in (0, 2))
    pooled = discriminator.layers(images).relu().sum((2, 3))
    torch.testing.assert_close(two - zero, pooled @ (discriminator.embed.weight[2] - discriminator.embed.weight[0]))
    expected = pooled @ discriminator.out.weight[0] + discriminator.out.bias
    torch.testing.assert_close(zero - pooled @ discriminator.embed.weight[0], expected)


def test_settled_networks_are_plain_and_hold_the_mean_statistics_of_fresh_batches(rng: np.random.Generator) -> None:
    generator, _ = made(rng)
    settled = copy.deepcopy(generator)
    RECIPE.settle(settled, np.random.default_rng(9))
    generator.eval()
    again = np.random.default_rng(9)
    firsts = []
    for _ in range(3):
        z, labels = RECIPE.inputs(12, again)
        first = generator.conditions(z, generator.embed(labels))[0]
        firsts.append(generator.linear(first).unflatten(1, (-1, 4, 4)))
    norm = settled.blocks[0].bn1.norm
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean((0, 2, 3)) for x in firsts]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var((0, 2, 3)) for x in firsts]).mean(0))
    torch.testing.assert_close(settled.blocks[1].conv1.weight, generator.blocks[1].conv1.weight)
    z, labels = RECIPE.inputs(2, rng)
    rebuilt = build(settled.state_dict(), **RECIPE.facts()).eval()
    assert torch.equal(rebuilt(z, labels), settled(z, labels))


def test_a_step_moves_both_players_and_repeats_exactly() -> None:
    ends = []
    for _ in range(2):
        rng = np.random.default_rng(1)
        generator, discriminator = made(rng)
        start = copy.deepcopy(generator.state_dict()), copy.deepcopy(discriminator.state_dict())
        images = torch.from_numpy(rng.uniform(-1, 1, (6, 3, 32, 32))).float()
        reals = images, torch.from_numpy(rng.integers(3, size=6))
        optimisers = RECIPE.optimisers(generator, discriminator)
        shown = RECIPE.update(generator, discriminator, optimisers, reals, 0, Stream(0, "x").at())
        assert all(torch.isfinite(value) for value in shown.values())
        for network, old in ((generator, start[0]), (discriminator, start[1])):
            parameters = dict(network.named_parameters())
            assert any(not torch.equal(value, old[name]) for name, value in parameters.items())
            assert all(parameter.requires_grad for parameter in parameters.values())
        ends.append(generator.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_latents_are_cut_into_one_slot_more_than_blocks() -> None:
    config = Recipe().generator().config
    assert (config.slots, config.latent_dim // config.slots, config.resolution) == (4, 20, 32)
