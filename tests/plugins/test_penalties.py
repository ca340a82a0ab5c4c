"""hessian-penalty and orojar: both penalties on known derivatives, the basis, the budget, resuming, planted truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_controls.discover import random
from gdbench_controls.params import ControlParams
from gdbench_penalties.discover import CODES, hessian, orojar, prepare, rendering, strongest
from gdbench_penalties.params import HESSIAN, OROJAR, PenaltyParams
from gdbench_penalties.penalties import Function, hessian_penalty, orojar_penalty
from gdbench_toy.generator import load as load_toy
from torch import Tensor, nn

from gdbench import (
    Codes,
    Context,
    Generator,
    LinearDirections,
    NoParams,
    PluginError,
    Stream,
    UsageError,
    moments,
    normal,
    orthonormal,
)
from gdbench.context import ResumePoint
from gdbench.runs.counting import Counted
from tests.plugins.methods_generators import CPU, DIM, Convnet, context, planted_angle

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = PenaltyParams(steps=60, batch=3, probes=2)
Method = Callable[[Generator, PenaltyParams, Context], LinearDirections]
METHODS: tuple[Method, ...] = (hessian, orojar)


# the penalties


def _all_pairs(m: int) -> Tensor:
    """Every pair of sign vectors, one pair for each code: (2, 4^m, m). Its mean is the expectation."""
    vectors = list(itertools.product((-1.0, 1.0), repeat=m))
    return torch.tensor(list(itertools.product(vectors, vectors)), dtype=torch.float64).transpose(0, 1)


def _symmetric(m: int) -> Tensor:
    matrix = torch.from_numpy(np.random.default_rng(0).standard_normal((m, m)))
    return matrix + matrix.T


def _quadratic(*matrices: Tensor) -> Function:
    """Outputs 1/2 c'Hc, one for each matrix, plus linear terms that no second difference sees."""

    def function(c: Tensor) -> Tensor:
        return torch.stack([0.5 * ((c @ matrix) * c).sum(2) + 3 * c.sum(2) + 1 for matrix in matrices], 2)

    return function


def _off_diagonal(matrix: Tensor) -> float:
    """Twice the sum of squares off the diagonal, over ordered pairs i != j."""
    return 2 * float((matrix - matrix.diag().diag()).square().sum())


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_the_hessian_penalty_expects_twice_the_squares_off_the_diagonal(epsilon: float) -> None:
    matrix = _symmetric(3)
    found = float(hessian_penalty(_quadratic(matrix), _all_pairs(3), epsilon))
    assert found == pytest.approx(_off_diagonal(matrix), rel=1e-8)


def test_the_hessian_penalty_is_the_mean_over_outputs() -> None:
    one, two = _symmetric(3), torch.eye(3, dtype=torch.float64)
    found = float(hessian_penalty(_quadratic(one, two), _all_pairs(3), 0.1))
    assert found == pytest.approx(_off_diagonal(one) / 2, rel=1e-8)


@pytest.mark.parametrize("probes", [2, 5])
def test_more_probes_do_not_change_the_expectation(probes: int) -> None:
    matrix, rng = _symmetric(4), np.random.default_rng(1)
    signs = torch.from_numpy(2.0 * rng.integers(0, 2, (probes, 20_000, 4)) - 1)
    found = float(hessian_penalty(_quadratic(matrix), signs, 0.1))
    assert found == pytest.approx(_off_diagonal(matrix), rel=0.05)


def test_the_hessian_penalty_vanishes_if_and_only_if_the_hessian_is_diagonal() -> None:
    diagonal = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64).diag()
    assert float(hessian_penalty(_quadratic(diagonal), _all_pairs(3), 0.1)) < 1e-20
    for i, j in itertools.combinations(range(3), 2):
        mixed = diagonal.clone()
        mixed[i, j] = mixed[j, i] = 0.01
        assert float(hessian_penalty(_quadratic(mixed), _all_pairs(3), 0.1)) == pytest.approx(4e-4, rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_orojar_expects_twice_the_squares_off_the_diagonal_of_the_metric(epsilon: float) -> None:
    jacobian = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 3)))
    found = float(orojar_penalty(lambda c: c @ jacobian.T + 7, _all_pairs(3), epsilon))
    assert found == pytest.approx(_off_diagonal(jacobian.T @ jacobian), rel=1e-8)


def test_orojar_vanishes_if_and_only_if_the_columns_are_orthogonal() -> None:
    columns = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).standard_normal((5, 3))).Q * [3.0, 1.0, 0.2])
    assert float(orojar_penalty(lambda c: c @ columns.T, _all_pairs(3), 0.1)) < 1e-20
    tilted = columns.clone()
    tilted[:, 1] += 0.1 * columns[:, 0]
    assert float(orojar_penalty(lambda c: c @ tilted.T, _all_pairs(3), 0.1)) == pytest.approx(4 * 0.9**2, rel=1e-6)


# the basis


def test_rows_are_those_of_gram_and_schmidt() -> None:
    free = np.random.default_rng(0).standard_normal((4, 6))
    rows: list[np.ndarray] = []
    for row in free:
        left = row - sum((row @ done * done for done in rows), np.zeros(6))
        rows.append(left / np.linalg.norm(left))
    np.testing.assert_allclose(orthonormal(torch.from_numpy(free)).numpy(), np.stack(rows), atol=1e-12)


def test_coordinates_move_codes_along_the_rows() -> None:
    generator, rng = Convnet(), np.random.default_rng(0)
    codes, vectors = generator.sample(3, "z", rng), normal(rng, 5, DIM)
    coordinates = normal(rng, 2, 3, 5)
    found = rendering(generator, codes, vectors)(coordinates)
    for j, n in itertools.product(range(2), range(3)):
        latents = codes.latents[n] + sum(coordinates[j, n, i] * vectors[i] for i in range(5))
        expected = generator.render(Codes(latents[None], "z")).flatten()
        torch.testing.assert_close(found[j, n], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_directions_stay_orthonormal_in_prior_deviations(method: Method) -> None:
    generator = Convnet()
    found = method(generator, PenaltyParams(steps=30, batch=4, lr=0.05), context(5, "w"))
    start = method(generator, PenaltyParams(steps=0), context(5, "w"))
    assert found.unit is not None
    steps = (found.vectors * found.unit[:, None]).double().numpy()
    inverse = np.linalg.inv(moments(generator, "w").covariance.numpy())
    np.testing.assert_allclose(steps @ inverse @ steps.T, np.eye(5), atol=3e-3)
    assert (found.vectors - start.vectors).abs().max() > 0.01
    raw = method(generator, PenaltyParams(steps=30, batch=4, whiten=False), context(5, "w"))
    torch.testing.assert_close(raw.vectors @ raw.vectors.T, torch.eye(5), atol=1e-5, rtol=0)


def test_the_strongest_come_first() -> None:
    generator, asked = Convnet(), context(DIM)
    training = prepare(generator, SMALL, asked)
    found = strongest(generator, training, Stream(0, "test"), asked).vectors
    codes = generator.sample(CODES, "z", Stream(0, "test").at())
    before = generator.render(codes)
    change = [
        sum(float((generator.render(codes.shifted(sign * row)) - before).square().mean()) for sign in (1, -1))
        for row in found
    ]
    assert change == sorted(change, reverse=True)
    few = strongest(generator, training, Stream(0, "test"), context(3)).vectors
    assert torch.equal(few, found[:3])


def test_the_sign_of_a_row_neither_chooses_nor_orders() -> None:
    generator, asked = Convnet(), context(5)
    training = prepare(generator, SMALL, asked)
    signs = torch.tensor([1.0, -1.0]).repeat(DIM // 2)
    expected = strongest(generator, training, Stream(0, "test"), asked).vectors
    for turned in (signs, -signs, -torch.ones(DIM)):
        free = nn.Parameter(turned[:, None] * training.free)
        found = strongest(generator, replace(training, free=free), Stream(0, "test"), asked).vectors
        assert torch.equal(found * (found * expected).sum(1, keepdim=True).sign(), expected)


def test_more_directions_than_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match=f"K = {DIM + 1}"):
        hessian(Convnet(), SMALL, context(DIM + 1))


# the budget


@pytest.mark.parametrize(("method", "rendered"), [(hessian, 1 + 2 * 3), (orojar, 1 + 3)])
def test_a_step_renders_what_the_parameters_say(method: Method, rendered: int) -> None:
    generator: Any = Counted(Convnet())
    method(generator, PenaltyParams(steps=2, batch=5, probes=3), context())
    assert generator.images == 2 * 5 * rendered + CODES * (2 * DIM + 1)
    assert generator.backward == 2 * 5 * rendered


@pytest.mark.parametrize(("tiers", "ahead"), [(HESSIAN, 2), (OROJAR, 1)])
@pytest.mark.parametrize(("tier", "cap"), [("quick", 1e5), ("standard", 1e6)])
def test_the_tiers_keep_their_caps_up_to_1024_dimensions(tiers: Any, ahead: int, tier: str, cap: float) -> None:
    params = PenaltyParams(**tiers.get(tier, {}))
    assert params.steps * params.batch * (1 + ahead * params.probes) + CODES * 2049 <= cap


# resuming and failing


class Troubled(Convnet):
    """Renders ``good`` differentiable batches, then NaN, or stops as if interrupted."""

    def __init__(self, good: int, interrupt: bool) -> None:
        super().__init__()
        self.left, self.interrupt = good, interrupt

    def render(self, codes: Codes) -> Tensor:
        self.left -= codes.latents.requires_grad
        if self.left < 0 and self.interrupt:
            raise KeyboardInterrupt
        return super().render(codes) * (math.nan if self.left < 0 else 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_training_goes_on_bit_for_bit(method: Method, tmp_path: Path) -> None:
    whole = method(Convnet(), SMALL, context())
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(KeyboardInterrupt):
        method(Troubled(40, interrupt=True), SMALL, context(resume=resume))
    state = resume.load()
    assert state is not None
    assert state["step"] == 25
    assert torch.equal(method(Convnet(), SMALL, context(resume=resume)).vectors, whole.vectors)


@pytest.mark.parametrize("method", METHODS)
def test_a_penalty_that_is_no_number_stops_and_leaves_the_last_good_state(method: Method, tmp_path: Path) -> None:
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(PluginError, match="penalty was nan between steps 25 and 50"):
        method(Troubled(30, interrupt=False), SMALL, context(resume=resume))
    state = resume.load()
    assert state is not None
    assert torch.isfinite(state["free"]).all()


# planted truth


class Planted(Convnet):
    """Images whose pixel i is a curved function of one of 6 orthonormal directions of 12; the others do nothing."""

    image_shape = (1, 1, 6)

    def __init__(self) -> None:
        self.rows = orthonormal(normal(np.random.default_rng(5), 6, DIM))

    def render(self, codes: Codes) -> Tensor:
        along = codes.latents @ self.rows.T * torch.linspace(1.2, 0.8, 6)
        return (along + 0.5 * along.square())[:, None, None]


@pytest.mark.parametrize("method", METHODS)
def test_each_planted_direction_is_found_where_the_truth_is_diagonal(method: Method) -> None:
    generator = Planted()
    found = method(generator, PenaltyParams(steps=500), context(6)).vectors
    match = (found @ generator.rows.T).abs()
    assert sorted(match.argmax(1).tolist()) == list(range(6))
    assert match.amax(1).min() > 0.9
    start = method(generator, PenaltyParams(steps=0), context(6)).vectors
    assert (start @ generator.rows.T).abs().amax(1).max() < 0.9


def _angle(method: Method, params: PenaltyParams) -> tuple[float, float]:
    """Median principal angle to the toy's planted directions, in degrees: of the method, and of random directions."""
    toy, asked = load_toy(None, NoParams(), CPU), context(8, seed=1)
    return planted_angle(method(toy, params, asked).vectors), planted_angle(random(toy, ControlParams(), asked).vectors)


def test_orojar_finds_the_planted_directions_of_the_toy() -> None:
    """At most half of random's principal angle, by the median of the eight."""
    found, by_chance = _angle(orojar, PenaltyParams(steps=300))
    assert found <= by_chance / 2
    assert by_chance > 60  # random itself is far from the bar


def test_the_hessian_penalty_finds_the_planted_directions_of_the_toy() -> None:
    """At most half of random's principal angle, by the median of the eight."""
    found, by_chance = _angle(hessian, PenaltyParams(steps=300))
    assert found <= by_chance / 2
    assert by_chance > 60
