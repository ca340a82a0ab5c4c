"""StyleGAN3's losses and discriminator against their definitions; a short training stays finite."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_stylegan3 import Params
from gdbench_stylegan3.discriminator import Discriminator, ResidualBlock, with_deviation
from gdbench_stylegan3.generator import load
from gdbench_stylegan3.networks import Generator
from gdbench_stylegan3.recipe import Recipe
from torch import Tensor
from torch.nn import functional as F

from gdbench import initialised, normal, save_weights

RECIPE = Recipe(
    resolution=8,
    latent_dim=5,
    layers=3,
    channel_base=16,
    channel_max=4,
    discriminator_widths=(4, 6),
    mapping_layers=1,
    batch=4,
)


@pytest.fixture
def generator() -> Generator:
    made = initialised(np.random.default_rng(0), RECIPE.generator)
    assert isinstance(made, Generator)
    return made


@pytest.fixture
def discriminator() -> Discriminator:
    made = initialised(np.random.default_rng(1), RECIPE.discriminator)
    assert isinstance(made, Discriminator)
    return made


def batch(seed: int) -> Tensor:
    return normal(np.random.default_rng(seed), 4, 3, 8, 8)


def test_r1_is_the_squared_slope_at_real_images(generator: Generator, discriminator: Discriminator) -> None:
    reals, fakes = batch(2), batch(3)
    twin = initialised(np.random.default_rng(1), RECIPE.discriminator)
    shown = RECIPE._discriminate(
        discriminator, RECIPE.optimisers(generator, discriminator)[1], reals.clone(), fakes, regularise=True
    )
    at = reals.clone().requires_grad_()
    logits = twin(torch.cat([at, fakes])).chunk(2)
    (slope,) = torch.autograd.grad(logits[0].sum(), at)
    assert float(shown["r1"]) == pytest.approx(float(slope.square().sum() / 4), rel=1e-4)
    expected = (F.softplus(-logits[0]).mean() + F.softplus(logits[1]).mean()).detach()
    assert float(shown["d"]) == pytest.approx(float(expected), rel=1e-4)


def test_a_step_moves_both_players_and_what_is_averaged(generator: Generator, discriminator: Discriminator) -> None:
    optimisers = RECIPE.optimisers(generator, discriminator)
    before = [{name: t.clone() for name, t in net.state_dict().items()} for net in (generator, discriminator)]
    shown = [RECIPE.update(generator, discriminator, optimisers, batch(s), s, np.random.default_rng(s)) for s in (0, 1)]
    assert [row.keys() - {"d", "g", "real", "fake"} for row in shown] == [{"r1"}, set()]
    assert all(math.isfinite(value) for row in shown for value in row.values())
    still = {"synthesis.input.freqs", "synthesis.input.phases", "synthesis.input.transform"}
    still |= {name for name in before[0] if name.endswith("filter")}
    for net, old in zip((generator, discriminator), before, strict=True):
        moved = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, old[name])}
        assert old.keys() - moved <= still
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_settling_sets_the_mean_of_w(generator: Generator) -> None:
    with torch.no_grad():
        RECIPE.settle(generator, np.random.default_rng(6))
        mean = generator.mapping(normal(np.random.default_rng(7), 20_000, 5)).mean(0)
    assert torch.allclose(generator.mapping.w_avg, mean, atol=0.05)


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, kernel=1, radial=True)], ids=["t", "r"])
def test_facts_and_weights_give_the_generator_back(recipe: Recipe, tmp_path: Path) -> None:
    made = initialised(np.random.default_rng(0), recipe.generator)
    save_weights(tmp_path / "w.safetensors", made.state_dict(), recipe.facts())
    loaded = load(tmp_path / "w.safetensors", Params(), torch.device("cpu")).network
    (z,) = recipe.inputs(3, np.random.default_rng(1))
    assert loaded.config == recipe.design().config()
    with torch.no_grad():
        assert torch.allclose(loaded(z), made(z), atol=1e-6)


def test_deviation_sees_neighbours_only() -> None:
    x = normal(np.random.default_rng(0), 8, 2, 4, 4)
    out = with_deviation(x)
    expected = [np.sqrt(x[i : i + 4].numpy().var(0) + 1e-8).mean() for i in (0, 4)]
    assert torch.equal(out[:, :2], x)
    assert np.allclose(out[:, 2].numpy(), np.repeat(expected, 4)[:, None, None], atol=1e-6)


def test_residual_block_is_the_written_formula() -> None:
    block = initialised(np.random.default_rng(0), lambda: ResidualBlock(3, 4)).double()
    assert isinstance(block, ResidualBlock)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    x = normal(np.random.default_rng(1), 2, 3, 8, 8).double()

    def activated(y: Tensor, layer: torch.nn.Module) -> Tensor:
        y = F.conv2d(y, layer.weight / math.sqrt(27), padding=1) + layer.bias[:, None, None]  # type: ignore[operator, index]
        return math.sqrt(2) * torch.where(y > 0, y, 0.2 * y)

    halved = activated(activated(x, block.first), block.second).unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    kept = F.conv2d(x.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5)), block.skip.weight / math.sqrt(3))
    assert torch.allclose(block(x), (kept + halved) / math.sqrt(2), atol=1e-12)
    assert Discriminator((4, 6, 8))(torch.zeros(4, 3, 16, 16)).shape == (4,)
