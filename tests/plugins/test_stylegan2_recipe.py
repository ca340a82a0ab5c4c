"""StyleGAN2's losses against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_stylegan2.discriminator import Discriminator
from gdbench_stylegan2.networks import Generator, truncate
from gdbench_stylegan2.recipe import Recipe
from torch import Tensor
from torch.nn.functional import softplus

from gdbench import initialised, normal

RECIPE = Recipe(
    resolution=8, latent_dim=5, widths=(6, 4), discriminator_widths=(4, 6), mapping_layers=1, batch=4, path_batch=3
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
    expected = (softplus(-logits[0]).mean() + softplus(logits[1]).mean()).detach()
    assert float(shown["d"]) == pytest.approx(float(expected), rel=1e-4)


def test_path_length_is_the_length_of_the_jacobian_applied_to_noise(
    generator: Generator, discriminator: Discriminator
) -> None:
    rng = np.random.default_rng(4)
    shown = RECIPE._path_length(generator, discriminator.path_length, rng)
    rng = np.random.default_rng(4)
    z = normal(rng, 3, 5)
    noise = normal(rng, 3, 3, 8, 8) / 8
    lengths = []
    for i in range(3):
        ws = truncate(generator.mapping(z[i : i + 1]), generator.mapping.w_avg, 4).detach()
        jacobian = torch.autograd.functional.jacobian(generator.synthesis, ws)[0, :, :, :, 0]
        pulled = torch.einsum("chwld,chw->ld", jacobian, noise[i])  # J' y, equation 4 with one w per layer
        lengths.append(float(pulled.square().sum(1).mean().sqrt()))
    assert float(shown) == pytest.approx(np.mean(lengths), rel=1e-4)
    assert float(discriminator.path_length) == pytest.approx(0.01 * np.mean(lengths), rel=1e-4)


def test_regularisation_is_lazy(generator: Generator, discriminator: Discriminator) -> None:
    optimisers = RECIPE.optimisers(generator, discriminator)
    seen = {}
    for step in (0, 1, RECIPE.path_every, RECIPE.r1_every):
        shown = RECIPE.update(generator, discriminator, optimisers, batch(2), step, np.random.default_rng(5))
        seen[step] = {"r1", "path"} & shown.keys()
    assert seen == {0: {"r1", "path"}, 1: set(), RECIPE.path_every: {"path"}, RECIPE.r1_every: {"r1", "path"}}


def test_settling_sets_the_mean_of_w(generator: Generator) -> None:
    with torch.no_grad():
        RECIPE.settle(generator, np.random.default_rng(6))
        mean = generator.mapping(normal(np.random.default_rng(7), 20_000, 5)).mean(0)
    assert torch.allclose(generator.mapping.w_avg, mean, atol=0.05)
