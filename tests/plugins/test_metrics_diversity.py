"""Diversity: effective ranks of known Gram matrices, duplicates, dead directions, and what must not matter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_metrics.diversity import cosines, effective_rank, gram, measure
from scipy.stats import entropy
from torch import Tensor

from gdbench import Codes, LinearDirections, NoParams, Subject
from tests.plugins.metrics_subjects import PLANTED, context, paths, random_directions, subject


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def both_signs(directions: Tensor) -> Tensor:
    """Displacements (n, k, 2, m) of straight directions (n, k, m)."""
    return torch.stack([directions, -directions], 2)


def test_effective_rank_of_known_spectra(rng: np.random.Generator) -> None:
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(5, 5)) == pytest.approx(1)
    assert effective_rank(torch.zeros(5, 5)) == 0
    values = rng.gamma(1.0, size=6)
    basis = np.linalg.qr(rng.normal(size=(6, 6))).Q
    matrix = torch.from_numpy(basis @ np.diag(values) @ basis.T)
    assert effective_rank(matrix) == pytest.approx(np.exp(entropy(values)))


def test_two_directions_at_an_angle() -> None:
    cosine = 0.6
    vectors = torch.tensor([[[1.0, 0.0], [cosine, 0.8]]])
    matrix = gram(both_signs(vectors), torch.ones(2, 2, dtype=torch.bool))
    torch.testing.assert_close(matrix, torch.tensor([[1.0, cosine], [cosine, 1.0]]).double())
    assert effective_rank(matrix) == pytest.approx(np.exp(entropy([1 + cosine, 1 - cosine])))


def test_gram_is_the_mean_over_codes_of_unit_displacements(rng: np.random.Generator) -> None:
    moved = torch.from_numpy(rng.normal(size=(7, 4, 2, 3)))
    expected = np.zeros((4, 4))
    for code in moved.numpy():
        unit = code / np.linalg.norm(code, axis=-1, keepdims=True)
        both = unit[:, 0] - unit[:, 1]
        both /= np.linalg.norm(both, axis=-1, keepdims=True)
        expected += both @ both.T / 7
    np.testing.assert_allclose(gram(moved, torch.ones(4, 2, dtype=torch.bool)).numpy(), expected, atol=1e-12)


def test_a_dead_sign_is_left_out_and_its_direction_weighs_half(rng: np.random.Generator) -> None:
    moved = torch.from_numpy(rng.normal(size=(5, 3, 2, 4)))
    alive = torch.tensor([[True, True], [False, True], [False, False]])
    one = gram(moved, alive)
    moved[:, 1, 0] = 1e3
    moved[:, 2] = -1e3
    torch.testing.assert_close(gram(moved, alive), one)
    torch.testing.assert_close(one.diagonal(), torch.tensor([1.0, 0.5, 0.0]).double())


def test_a_dead_sign_does_not_hide_a_duplicate(rng: np.random.Generator) -> None:
    moved = torch.from_numpy(rng.normal(size=(5, 1, 1, 4))) * torch.tensor((1.0, -1.0))[:, None]
    alive = torch.tensor([[True, False], [True, False], [True, True], [False, False]])
    expected = torch.ones(4, 4).double()
    expected[3], expected[:, 3] = 0, 0
    torch.testing.assert_close(cosines(gram(moved.expand(5, 4, 2, 4), alive)), expected)


def test_planted_and_random_directions_differ_from_one_another() -> None:
    values = measure(subject(random_directions(8)), NoParams(), context(8)).values
    assert values["rank_latent"] == pytest.approx(8, abs=1e-3)
    assert values["rank_image"] > 3
    assert values["alive_share"] == 1


def test_duplicates_count_once() -> None:
    vectors = torch.cat([PLANTED[4:6], PLANTED[4:6], -PLANTED[4:5]])
    found = measure(subject(vectors), NoParams(), context(5))
    assert found.values["rank_latent"] == pytest.approx(np.exp(entropy([3, 2])))
    assert found.values["rank_image"] < 2.1
    assert found.values["duplicates"] == 1
    random = measure(subject(random_directions(5)), NoParams(), context(5)).values
    assert random["rank_image"] > found.values["rank_image"]


def test_dead_directions_are_failures() -> None:
    whole = measure(subject(PLANTED[2:6]), NoParams(), context(4)).values
    found = measure(subject(torch.cat([PLANTED[2:6], torch.zeros(4, 64)])), NoParams(), context(8))
    assert found.values["alive_share"] == 0.5
    assert found.values["rank_latent"] == pytest.approx(whole["rank_latent"])
    assert found.values["rank_image"] == pytest.approx(whole["rank_image"])
    assert found.directions["alive"] == [1] * 4 + [0] * 4
    assert found.values["duplicates"] == pytest.approx((4 + 4 * whole["duplicates"]) / 8)
    nothing = measure(subject(torch.zeros(3, 64)), NoParams(), context(3)).values
    assert nothing == {"rank_latent": 0, "rank_image": 0, "duplicates": 1, "alive_share": 0}


def test_order_sign_and_length_change_nothing() -> None:
    vectors = random_directions(6)
    order = torch.tensor([5, 2, 0, 1, 4, 3])
    other = (vectors * torch.tensor([-2.0, 1.0, -1.0, 0.1, 3.0, -1.0])[:, None])[order]
    one, two = (measure(subject(v), NoParams(), context(6)) for v in (vectors, paths(other)))
    assert one.values == pytest.approx(two.values, abs=1e-3)


@dataclass(frozen=True)
class Turning:
    """Curved directions: each displacement is bent by the code."""

    straight: LinearDirections
    space: str = "z"

    def __len__(self) -> int:
        return len(self.straight)

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        moved = self.straight.displace(codes, index, magnitude)
        bent = torch.roll(moved.latents - codes.latents, 1, 1) * codes.latents[:, :1]
        return moved.shifted(bent)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_curved_directions_are_measured_by_their_displacements() -> None:
    straight = subject(random_directions(4))
    curved: Subject = replace(straight, directions=Turning(straight.directions), _kept={})  # type: ignore[arg-type]
    values = measure(curved, NoParams(), context(4)).values
    assert 3.5 < float(values["rank_latent"]) <= 4
