"""The controls: orthonormality, whitening, axes, duplicates and dead directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_controls.discover import coordinate, dead, duplicated, random
from gdbench_controls.params import ControlParams

from gdbench import NoParams, UsageError, moments
from tests.plugins.methods_generators import DIM, Convnet, context

GENERATOR = Convnet()


def test_random_directions_are_orthonormal_and_depend_on_the_seed() -> None:
    vectors = [random(GENERATOR, ControlParams(), context(6, seed=seed)).vectors for seed in (0, 1)]
    for found in vectors:
        torch.testing.assert_close(found @ found.T, torch.eye(6), atol=1e-6, rtol=0)
    assert (vectors[0] - vectors[1]).abs().max() > 0.1


def test_random_directions_favour_no_axis() -> None:
    squared = torch.stack(
        [random(GENERATOR, ControlParams(), context(1, seed=seed)).vectors[0] ** 2 for seed in range(300)]
    )
    # the mean square of a coordinate of a uniform unit vector is 1/d, its variance 2 (d - 1) / (d^2 (d + 2))
    error = (2 * (DIM - 1) / (DIM**2 * (DIM + 2)) / 300) ** 0.5
    assert (squared.mean(0) - 1 / DIM).abs().max() < 4 * error


def test_whitened_random_directions_are_orthonormal_in_prior_deviations() -> None:
    found = random(GENERATOR, ControlParams(), context(5, "w"))
    inverse = np.linalg.inv(moments(GENERATOR, "w").covariance.numpy())
    steps = (found.vectors * found.unit[:, None]).double().numpy()
    np.testing.assert_allclose(steps @ inverse @ steps.T, np.eye(5), atol=1e-3)


def test_raw_random_directions_in_w_are_orthonormal() -> None:
    vectors = random(GENERATOR, ControlParams(whiten=False), context(5, "w")).vectors
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(5), atol=1e-6, rtol=0)


def test_coordinates_are_different_axes_with_the_deviation_as_unit() -> None:
    found = coordinate(GENERATOR, NoParams(), context(DIM, "w"))
    assert sorted(found.vectors.argmax(1).tolist()) == list(range(DIM))
    assert found.vectors.sum() == DIM
    samples = GENERATOR.sample(50_000, "w", np.random.default_rng(3)).latents
    torch.testing.assert_close(found.vectors @ samples.std(0), found.unit, rtol=0.03, atol=0)


def test_the_seed_chooses_the_axes() -> None:
    drawn = {
        tuple(coordinate(GENERATOR, NoParams(), context(2, seed=seed)).vectors.argmax(1).tolist()) for seed in range(8)
    }
    assert len(drawn) > 4


def test_duplicated_is_one_random_direction() -> None:
    found = duplicated(GENERATOR, ControlParams(), context(4, "w"))
    assert len(duplicated(GENERATOR, ControlParams(), context(2 * DIM))) == 2 * DIM
    assert torch.equal(found.vectors, random(GENERATOR, ControlParams(), context(1, "w")).vectors.expand(4, -1))


def test_dead_directions_move_nothing() -> None:
    found = dead(GENERATOR, NoParams(), context(3))
    codes = GENERATOR.sample(3, "z", np.random.default_rng(0))
    assert len(found) == 3
    assert torch.equal(found.displace(codes, torch.arange(3), torch.full((3,), 12.0)).latents, codes.latents)


@pytest.mark.parametrize("control", [random, coordinate])
def test_more_directions_than_dimensions_are_refused(control: object) -> None:
    with pytest.raises(UsageError, match=f"K = {DIM + 1}"):
        control(GENERATOR, ControlParams(), context(DIM + 1))  # type: ignore[operator]
