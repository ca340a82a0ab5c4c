"""Calibration against a generator whose perceptual distance has a closed form.

Every pixel of the image is the unit vector (cos theta, sin theta) with theta = a . z, so their LPIPS form is
4 sin^2(dtheta / 2), whatever the code: t(tau) = 2 asin(sqrt(tau D-bar) / 2) / (a . u).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gdbench_acceptance.directions import Paths
from torch import Tensor

from gdbench import Codes, LinearDirections, Stream, calibrate, moments, normal
from gdbench.evaluation.calibration import CAP, Calibration

A = torch.tensor([0.35, 0.1, 0.0, 0.0])


class Angle:
    spaces = ("z",)
    image_shape = (2, 4, 4)
    domain = "angles"
    device = torch.device("cpu")
    rendered = 0

    def dim(self, space: str) -> int:
        return 4

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(normal(rng, n, 4), space)

    def render(self, codes: Codes) -> Tensor:
        self.rendered += len(codes)
        theta = codes.latents @ A
        return torch.stack([theta.cos(), theta.sin()], 1)[:, :, None, None].expand(-1, -1, 4, 4)


class Eye:
    passed: dict[str, bool] = {}  # noqa: RUF012

    def embed(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        return [images], images.flatten(1)


SPREAD = moments(Angle(), "z")


class Bounded:
    """t -> 6 tanh(t) along the first latent."""

    space = "z"

    def __len__(self) -> int:
        return 1

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        return codes.shifted(6 * torch.tanh(magnitude)[:, None] * torch.eye(4)[:1])


def measured(directions: LinearDirections, codes: int = 32) -> tuple[Calibration, Angle]:
    generator = Angle()
    spread = moments(generator, "z")
    return calibrate(generator, directions, Eye(), spread, Stream(0, "calibrate"), codes), generator


@pytest.fixture(scope="module")
def four() -> Calibration:
    return measured(LinearDirections(torch.eye(4), "z"))[0]


def test_the_typical_distance_is_the_median_of_independent_pairs(four: Calibration) -> None:
    # theta1 - theta2 ~ N(0, 2 |a|^2); the median of its absolute value is 0.6745 s.d.
    expected = 4 * math.sin(0.67449 * math.sqrt(2) * float(A.norm()) / 2) ** 2
    assert four.dbar == pytest.approx(expected, rel=0.15)  # 512 pairs


@pytest.mark.parametrize("tau", [0.15, 0.30, 0.45])
def test_magnitudes_solve_the_closed_form(four: Calibration, tau: float) -> None:
    angle = 2 * math.asin(math.sqrt(tau * four.dbar) / 2)
    for direction in (0, 1):
        expected = angle / float(A[direction])
        assert four.magnitude(tau)[direction].tolist() == pytest.approx([expected] * 2, rel=0.01)


def test_interpolation_between_the_taus_solves_the_closed_form(four: Calibration) -> None:
    fraction = torch.linspace(0.15, 0.30, 7)
    found = four.interpolate(fraction, torch.zeros(7).long(), torch.tensor([1.0, -1, 1, -1, 1, -1, 1]))
    expected = 2 * torch.asin((fraction * four.dbar).sqrt() / 2) / A[0]
    torch.testing.assert_close(found, expected.float(), rtol=0.02, atol=0)


def test_what_changes_nothing_is_dead_and_counts(four: Calibration) -> None:
    assert four.dead.tolist() == [[False, False], [False, False], [True, True], [True, True]]
    assert four.alive_share == 0.5
    assert four.magnitude()[2:].isnan().all()
    torch.testing.assert_close(four.usable()[2:], four.limit[2:])


def test_magnitudes_end_at_twelve_prior_deviations(four: Calibration) -> None:
    torch.testing.assert_close(four.limit, torch.full((4, 2), CAP), rtol=0.02, atol=0)


def test_a_weak_direction_is_dead_even_though_a_longer_shift_would_show() -> None:
    weak = LinearDirections(torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.003, 0.0, 1.0, 0.0]]), "z")
    assert measured(weak)[0].dead.all()


def test_zero_vectors_are_dead_and_finite() -> None:
    calibration = measured(LinearDirections(torch.zeros(2, 4), "z"))[0]
    assert calibration.dead.all()
    assert calibration.limit.isfinite().all()
    assert all(math.isfinite(value) for value in calibration.scores().values())


def test_images_rendered_are_few() -> None:
    """A fixed grid of eight points and one at each change took 11 renders a code, direction and sign."""
    codes = 64
    _, generator = measured(LinearDirections(torch.eye(4), "z"), codes)
    assert generator.rendered - codes - 1024 <= 4.5 * 8 * codes


class Humped(Angle):
    """Change is seen only from 7 to 11 of the 12 standard deviations along the first latent."""

    def render(self, codes: Codes) -> Tensor:
        bump = (-((codes.latents[:, 0] - 9) ** 2) / 3).exp()
        theta = bump + 0.3 * codes.latents[:, 1]
        return torch.stack([theta.cos(), theta.sin()], 1)[:, :, None, None].expand(-1, -1, 4, 4)


def test_a_curve_that_falls_again_before_its_end_is_alive() -> None:
    """All of the way counts, as on a fixed grid: the change at the longest magnitude alone is below .30."""
    generator, directions = Humped(), LinearDirections(torch.eye(4)[:1], "z")
    stream, oracle = Stream(0, "calibrate"), Eye()
    found = calibrate(generator, directions, oracle, moments(generator, "z"), stream, 64)
    base = generator.sample(64, "z", stream.of("codes").at())
    end = directions.displace(base, torch.zeros(64).long(), found.limit[0, :1].repeat(64))
    at_end = (generator.render(end) - generator.render(base))[..., 0, 0].square().sum(1).median() / found.dbar
    assert float(at_end) < 0.30
    assert found.dead.tolist() == [[False, True]]


@pytest.mark.parametrize("length", [0.03, 0.4, 3.0, -0.4])
def test_length_and_sign_of_the_vectors_change_nothing(length: float) -> None:
    """Straight directions keep unit length and a sign by themselves; paths do not."""
    vectors = torch.tensor([[0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.08, 0.0, 1.0, 0.0]])
    one, other = (
        calibrate(Angle(), Paths(factor * vectors, "z", torch.ones(3)), Eye(), SPREAD, Stream(0, "calibrate"), 32)
        for factor in (1.0, length)
    )
    swapped = other.limit if length > 0 else other.limit.flip(1)
    torch.testing.assert_close(swapped * abs(length), one.limit, rtol=1e-3, atol=0)
    for tau in (0.15, 0.30, 0.45):
        found = other.magnitude(tau) if length > 0 else other.magnitude(tau).flip(1)
        torch.testing.assert_close(found * abs(length), one.magnitude(tau), rtol=0.01, atol=0, equal_nan=True)
    assert one.dead.tolist() == other.dead.tolist() == [[False, False], [True, True], [False, False]]


def test_a_path_that_leads_nowhere_ends_where_a_straight_one_would() -> None:
    """Bounded displacement: its length in t says nothing, and t is not searched sixty times farther for it."""
    found = calibrate(Angle(), Bounded(), Eye(), SPREAD, Stream(0, "calibrate"), 32)
    assert float(found.limit.max()) < 2 * CAP
    assert not found.dead.any()


def test_saving_and_loading_is_the_identity(four: Calibration, tmp_path: object) -> None:
    four.save(tmp_path)  # type: ignore[arg-type]
    again = Calibration.load(tmp_path)  # type: ignore[arg-type]
    assert again.dbar == four.dbar
    torch.testing.assert_close(again.change, four.change, rtol=0, atol=0)
