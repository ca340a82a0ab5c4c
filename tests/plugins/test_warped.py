"""warpedganspace: the field against autograd and differences, paths against an ODE solver, training, planted truth."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_controls.discover import random
from gdbench_controls.params import ControlParams
from gdbench_toy.generator import load as load_toy
from gdbench_warped.directions import Frame, WarpedDirections
from gdbench_warped.discover import BaseImages, Batch, Training, discover, draw, prepare, train_step
from gdbench_warped.field import pieces, slope, start, walk
from gdbench_warped.params import PAPER, STANDARD, WarpedParams
from gdbench_warped.reconstructor import LeNet, ResNet18, reconstructor
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from gdbench import Codes, NoParams, PluginError, Stream, moments
from gdbench.context import ResumePoint
from gdbench.directions import load_directions
from gdbench.params import as_plain, build
from gdbench.registry import generator_specs
from gdbench.runs.counting import Counted
from gdbench.runs.suite import read_suite
from tests.plugins.methods_generators import CPU, DIM, Blank, Convnet, context, planted_angle

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
SMALL = WarpedParams(steps=60, batch=4, dipoles=3, reuse=2, shift_max=2.0)


# the field


def _field(n: int, dipoles: int = 3, dim: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Supports (n, 2 dipoles, dim) not antipodal, gammas (n,) and points (n, dim), float64."""
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((n, 2 * dipoles, dim)), rng.uniform(0.1, 0.8, n), rng.standard_normal((n, dim))
    supports, gamma, points = (torch.from_numpy(part) for part in parts)
    return supports, gamma, points


def _f(supports: Tensor, gamma: Tensor, point: Tensor) -> Tensor:
    """The sum of radial functions, written out, of one point (dim,)."""
    half = len(supports) // 2
    terms = [torch.exp(-gamma * ((point - support) ** 2).sum()) for support in supports]
    return torch.stack(terms[:half]).sum() - torch.stack(terms[half:]).sum()


def _unit_gradient(supports: Tensor, gamma: Tensor, point: Tensor) -> Tensor:
    point = point.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_f(supports, gamma, point), point)
    return gradient / gradient.norm()


def test_the_slope_is_autograds_unit_gradient() -> None:
    supports, gamma, points = _field(6)
    found = slope(supports, gamma, points)
    for row in range(6):
        torch.testing.assert_close(
            found[row], _unit_gradient(supports[row], gamma[row], points[row]), atol=1e-12, rtol=0
        )


def test_the_slope_is_that_of_finite_differences() -> None:
    supports, gamma, points = (part[0] for part in _field(1))
    shifts = 1e-5 * torch.eye(5, dtype=torch.float64)
    ahead = torch.stack([_f(supports, gamma, points + shift) for shift in shifts])
    behind = torch.stack([_f(supports, gamma, points - shift) for shift in shifts])
    expected = (ahead - behind) / (ahead - behind).norm()
    torch.testing.assert_close(slope(supports[None], gamma[None], points[None])[0], expected, atol=1e-8, rtol=0)


def test_far_from_every_support_nothing_underflows() -> None:
    supports, gamma, points = (part.float() for part in _field(4))
    found = slope(supports, gamma, 1_000 * points)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


def test_supports_start_antipodal_inside_the_expected_norm() -> None:
    supports, log_gamma = start(Stream(0, "test"), 7, 5, 100)
    torch.testing.assert_close(supports[:, :5], -supports[:, 5:])
    radii = supports.norm(dim=2)
    torch.testing.assert_close(radii, torch.linspace(8.0, 9.0, 7)[:, None].expand(7, 10))
    torch.testing.assert_close(log_gamma.exp(), torch.full((7,), 0.01))
    ahead = supports[:, :5].flatten(0, 1) / radii[:, :5].flatten()[:, None]
    assert (ahead @ ahead.T - torch.eye(35)).abs().max() < 0.5  # none is another's neighbour


# paths


def test_wide_dipoles_give_straight_lines() -> None:
    supports = torch.tensor([[[3.0, 4.0]], [[0.0, -2.0]]], dtype=torch.float64)
    supports = torch.cat([supports, -supports], 1)
    gamma = torch.full((2,), 1e-9, dtype=torch.float64)
    begin, length = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), [2.3, -1.7]
    found = walk(supports, gamma, begin, torch.tensor(length, dtype=torch.float64), 0.5, 5)
    along = torch.tensor([[0.6, 0.8], [0.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(found, begin + torch.tensor(length)[:, None] * along, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_path_approaches_the_solution_of_its_differential_equation(sign: float) -> None:
    supports, gamma, points = _field(1)

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        return (sign * _unit_gradient(supports[0], gamma[0], torch.from_numpy(y))).numpy()

    exact = solve_ivp(velocity, (0, 0.8), points[0].numpy(), rtol=1e-8, atol=1e-8).y[:, -1]
    errors = []
    for step in (0.02, 0.01):
        end = walk(supports, gamma, points, torch.tensor([0.8 * sign]), step, pieces(0.8, step))
        errors.append(float((end[0] - torch.from_numpy(exact)).norm()))
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)  # Euler's method is of first order


def test_magnitude_is_path_length_and_longer_paths_pass_through_shorter_ones() -> None:
    supports, gamma, points = _field(3)
    corners = [walk(supports, gamma, points, torch.full((3,), 0.5 * i).double(), 0.5, 4) for i in range(4)]
    for before, after in pairwise(corners):
        torch.testing.assert_close((after - before).norm(dim=1), torch.full((3,), 0.5).double())
    partly = walk(supports, gamma, points, torch.full((3,), 1.2).double(), 0.5, 3)
    torch.testing.assert_close(partly, walk(supports, gamma, corners[2], torch.full((3,), 0.2).double(), 0.5, 1))


def test_the_sign_climbs_or_descends() -> None:
    supports, gamma, points = _field(6)
    here, up, down = (
        torch.stack(
            [_f(*row) for row in zip(supports, gamma, walk(supports, gamma, points, length, 0.05, 2), strict=True)]
        )
        for length in torch.tensor([0.0, 0.1, -0.1]).double()[:, None].expand(3, 6)
    )
    assert (up > here).all()
    assert (down < here).all()


# directions


def _directions(space: str = "z", k: int = 4) -> WarpedDirections:
    generator = Convnet()
    supports, log_gamma = start(Stream(1, "test"), k, 3, DIM)
    frame = Frame.identity(DIM) if space == "z" else Frame.of(moments(generator, space))
    codes = generator.sample(64, space, np.random.default_rng(1))
    return WarpedDirections.of(supports, 4 * log_gamma.exp(), frame, codes, 0.5)


def _asked(n: int, space: str, k: int = 4) -> tuple[Codes, Tensor, Tensor]:
    rng = np.random.default_rng(2)
    codes = Convnet().sample(n, space, rng)
    return codes, torch.from_numpy(rng.integers(0, k, n)), torch.from_numpy(rng.uniform(-3, 3, n)).float()


def test_one_set_of_supports_serves_all_rows() -> None:
    supports, gamma, points = _field(6)
    expected = slope(supports[:1].expand(6, -1, -1), gamma[:1].expand(6), points)
    torch.testing.assert_close(slope(supports[:1], gamma[:1], points), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("space", ["z", "w"])
def test_rows_do_not_depend_on_their_batch(space: str) -> None:
    found, (codes, index, magnitude) = _directions(space), _asked(20, space)
    together = found.displace(codes, index, magnitude).latents
    alone = [found.displace(codes[i : i + 1], index[i : i + 1], magnitude[i : i + 1]).latents for i in range(20)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    assert torch.equal(together, found.displace(codes, index, magnitude).latents)


@pytest.mark.parametrize("space", ["z", "w"])
def test_codes_in_float64_stay_so(space: str) -> None:
    found, (codes, index, magnitude) = _directions(space), _asked(6, space)
    moved = found.displace(replace(codes, latents=codes.latents.double()), index, magnitude).latents
    assert moved.dtype == torch.float64
    torch.testing.assert_close(moved.float(), found.displace(codes, index, magnitude).latents, atol=1e-6, rtol=0)


def test_in_w_paths_are_those_of_whitened_coordinates() -> None:
    found, (codes, index, magnitude) = _directions("w"), _asked(10, "w")
    known = moments(Convnet(), "w")
    values, vectors = np.linalg.eigh(known.covariance.numpy())
    root = vectors @ np.diag(np.sqrt(np.maximum(values, 1e-6 * values.max()))) @ vectors.T
    begin = torch.from_numpy((codes.latents.double() - known.mean).numpy() @ np.linalg.inv(root)).float()
    length = magnitude / found.unit[index]
    end = walk(found.supports[index], found.gamma[index], begin, length, 0.5, pieces(float(length.abs().max()), 0.5))
    expected = codes.latents + ((end - begin).double() @ torch.from_numpy(root)).float()
    torch.testing.assert_close(found.displace(codes, index, magnitude).latents, expected, atol=2e-3, rtol=0)


def test_in_z_magnitudes_are_latent_lengths_and_in_w_nearly() -> None:
    torch.testing.assert_close(_directions("z").unit, torch.ones(4))
    found = _directions("w")
    codes = Convnet().sample(64, "w", np.random.default_rng(1))  # those at which it was measured
    for k in range(4):
        index, short = torch.full((64,), k), torch.full((64,), 0.1 * float(found.unit[k]))
        moved = (found.displace(codes, index, short).latents - codes.latents).norm(dim=1)
        assert float(moved.mean()) == pytest.approx(float(short[0]), rel=0.01)


def test_paths_bend_and_keep_labels() -> None:
    found, (codes, index, _) = _directions(), _asked(10, "z")
    labelled = Codes(codes.latents, "z", torch.arange(10))
    one, two = (found.displace(labelled, index, torch.full((10,), m)) for m in (2.0, 4.0))
    assert one.labels is not None
    assert one.labels.tolist() == list(range(10))
    bend = two.latents - codes.latents - 2 * (one.latents - codes.latents)
    assert bend.norm(dim=1).max() > 0.05
    assert torch.equal(found.displace(codes, index, torch.zeros(10)).latents, codes.latents)
    assert len(found.displace(codes[:0], index[:0], torch.zeros(0))) == 0


@pytest.mark.parametrize("space", ["z", "w"])
def test_saved_paths_come_back(space: str, tmp_path: Path) -> None:
    found, asked = _directions(space), _asked(6, space)
    found.save(tmp_path)
    loaded = load_directions(tmp_path, frozenset({"gdbench_warped"}))
    assert isinstance(loaded, WarpedDirections)
    assert (loaded.space, len(loaded), loaded.step) == (space, 4, 0.5)
    assert torch.equal(loaded.displace(*asked).latents, found.displace(*asked).latents)


def test_whitening_a_flat_prior_stays_finite() -> None:
    class Flat(Convnet):
        def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
            codes = super().sample(n, space, rng)
            return Codes(codes.latents * (torch.arange(DIM) > 0), space)

    found = discover(Flat(), SMALL, context(space="w"))
    codes = Flat().sample(5, "w", np.random.default_rng(0))
    moved = found.displace(codes, torch.arange(5) % 4, torch.ones(5)).latents
    assert torch.isfinite(moved).all()
    assert (moved - codes.latents)[:, 0].abs().max() < 0.01  # hardly leaves the prior


# training


def test_shifts_are_signed_evenly_and_uniform_in_length() -> None:
    n = 100_000
    index, shift = draw(WarpedParams(batch=n), 5, Stream(0, "test"), 3)
    assert abs(float((shift > 0).double().mean()) - 0.5) < 4 * 0.5 / math.sqrt(n)  # the official sampler gives .694
    assert 0.5 <= float(shift.abs().min()) <= float(shift.abs().max()) <= 6
    assert abs(float(shift.abs().double().mean()) - 3.25) < 4 * 5.5 / math.sqrt(12 * n)
    counts = torch.bincount(index, minlength=5).double()
    assert ((counts - n / 5).square() / (n / 5)).sum() < 23.5  # chi-square, 4 degrees of freedom, p = 1e-4


class Fixed(nn.Module):
    """A reconstructor with given answers, which keeps what it was shown."""

    def __init__(self, logits: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.logits, self.shift = nn.Parameter(logits), nn.Parameter(shift)

    def forward(self, images: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        self.shown = images.detach(), shifted.detach()
        return self.logits + 0 * shifted.mean(), self.shift


def test_a_step_shows_the_pair_and_takes_cross_entropy_and_a_quarter_of_the_error() -> None:
    rng, generator = np.random.default_rng(0), Convnet()
    logits, guess, truth = (torch.from_numpy(rng.standard_normal(s)).float() for s in ((6, 4), 6, 6))
    index = torch.from_numpy(rng.integers(0, 4, 6))
    supports, log_gamma = (nn.Parameter(part) for part in start(Stream(1, "test"), 4, 3, DIM))
    fixed, codes = Fixed(logits, guess), generator.sample(6, "z", rng)
    directions = WarpedDirections.of(supports, log_gamma.exp(), Frame.identity(DIM), codes, 1.0)
    optimiser = torch.optim.Adam([supports, log_gamma, *fixed.parameters()])
    training = Training(supports, log_gamma, fixed, optimiser, Frame.identity(DIM))
    images = generator.render(codes)
    expected = generator.render(directions.displace(codes, index, truth))
    surprise = logits.double().logsumexp(1) - logits.double()[torch.arange(6), index]
    wanted = float(surprise.mean() + 0.25 * (guess - truth).abs().mean())  # now: the optimiser changes them in place
    loss, _ = train_step(generator, training, Batch(codes, images, index, truth), WarpedParams()).tolist()
    torch.testing.assert_close(fixed.shown[1], expected, atol=1e-6, rtol=0)
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_gradients_reach_every_part() -> None:
    generator, params = Convnet(), WarpedParams(steps=1, batch=16, dipoles=3, reuse=1)
    training = prepare(generator, params, context())
    stream = context().stream("discover")
    base = BaseImages(generator, "z", stream, params)
    before = training.supports.detach().clone(), training.log_gamma.detach().clone()
    train_step(generator, training, Batch(*base.at(0), *draw(params, 4, stream, 0)), params)
    assert (training.supports != before[0]).any(2).all()
    assert (training.log_gamma != before[1]).all()
    assert all(p.grad is not None for p in training.reconstructor.parameters())
    assert all(p.grad is None for p in generator.network.parameters())


@pytest.mark.parametrize("name", ["lenet", "resnet18", "auto"])
@pytest.mark.parametrize(("size", "kind"), [(16, LeNet), (32, LeNet), (64, LeNet), (128, ResNet18)])
def test_reconstructors_take_images_of_any_size_and_auto_chooses_by_it(name: Any, size: int, kind: type) -> None:
    network = reconstructor(name, 1, size, 5)
    logits, shift = network(torch.zeros(2, 1, size, size), torch.zeros(2, 1, size, size))
    assert (logits.shape, shift.shape) == ((2, 5), (2,))
    assert type(network) is {"lenet": LeNet, "resnet18": ResNet18, "auto": kind}[name]


def test_the_resnet_is_torchvisions_but_for_its_ends() -> None:
    """11.7 million parameters with 3 input channels and 1,000 classes (torchvision's documentation)."""
    found = sum(p.numel() for p in ResNet18(3, 120).parameters())
    assert found == 11_689_512 + 3 * 64 * 7 * 7 - 513 * 1000 + 513 * 121


def test_a_run_may_train_the_resnet() -> None:
    params = WarpedParams(steps=2, batch=4, dipoles=2, reconstructor="resnet18")
    assert isinstance(prepare(Convnet(), params, context()).reconstructor, ResNet18)
    assert len(discover(Convnet(), params, context())) == 4


def test_runs_recorded_before_there_was_a_choice_keep_their_names() -> None:
    assert "reconstructor" not in as_plain(WarpedParams())
    assert as_plain(WarpedParams(**PAPER))["reconstructor"] == "auto"


@pytest.mark.parametrize(
    ("cell", "k", "dipoles", "shifts", "batch", "steps"),
    [
        ("sngan sn-mnist z", 64, 128, (0.15, 0.25), 128, 120_000),
        ("sngan sn-anime z", 64, 128, (0.25, 0.35), 128, 120_000),
        ("biggan biggan-128 z", 120, 256, (0.1, 0.2), 32, 150_000),
        ("progan celebahq1024-ptrblck z", 200, 512, (0.1, 0.2), 8, 150_000),
        ("stylegan2 rosinality-ffhq-1024 w", 200, 512, (0.1, 0.2), 12, 150_000),
    ],
)
def test_the_suites_ask_for_the_official_set_ups(
    cell: str, k: int, dipoles: int, shifts: tuple[float, float], batch: int, steps: int
) -> None:
    """The numbers of the official scripts, one training step being a single piece of a path."""
    suites = [read_suite(ROOT / "benchmarks" / f"{name}.yaml") for name in ("warped-paper", "warped-paper-anime")]
    cells = {f"{r.gan} {r.checkpoint} {r.space or 'z'}": r for suite in suites for r in suite.requests}
    assert len(cells) == sum(len(suite.requests) for suite in suites) == 5
    asked = cells[cell]
    params = build(WarpedParams, PAPER, asked.method_params, where=cell)
    assert (asked.method, asked.tier, asked.k) == ("warpedganspace", "paper", k)
    assert (params.dipoles, params.shift_min, params.shift_max, params.batch) == (dipoles, *shifts, batch)
    assert (params.steps, params.lr, params.support_lr, params.shift_weight) == (steps, 1e-4, 1e-4, 0.25)
    assert pieces(params.shift_max, params.step) == 1
    assert asked.checkpoint in {checkpoint.name for checkpoint in generator_specs()[asked.gan].checkpoints}
    assert asked.generator_params == ({"label": 239} if asked.gan == "biggan" else {})


@pytest.mark.parametrize(("changes", "cap"), [({}, 1e5), (STANDARD, 1e6)])
def test_the_tiers_keep_their_caps(changes: dict[str, int], cap: float) -> None:
    params, generator = WarpedParams(**changes), Counted(Blank())  # type: ignore[arg-type]
    base = BaseImages(generator, "z", Stream(0, "base"), params)
    for step in range(params.steps):
        base.at(step)
    assert 0 < generator.images + params.steps * params.batch <= cap


def test_base_images_depend_on_the_step_alone_and_serve_as_often_as_asked() -> None:
    params = WarpedParams(steps=12, batch=4, reuse=3)
    base = BaseImages(Blank(), "z", Stream(0, "base"), params)
    seen = [base.at(step)[0].latents for step in range(12)]
    assert torch.equal(BaseImages(Blank(), "z", Stream(0, "base"), params).at(7)[0].latents, seen[7])
    assert torch.cat(seen).unique().numel() == 16
    codes, images = base.at(5)
    assert torch.equal(images, Blank().render(codes))


@pytest.mark.parametrize("space", ["z", "w"])
def test_an_interrupted_training_goes_on_bit_for_bit(space: str, tmp_path: Path) -> None:
    whole = discover(Convnet(), SMALL, context(space=space))
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)

    class Breaking(Convnet):
        calls = 0

        def render(self, codes: Codes) -> Tensor:
            self.calls += codes.latents.requires_grad
            if self.calls > 40:
                raise KeyboardInterrupt
            return super().render(codes)

    with pytest.raises(KeyboardInterrupt):
        discover(Breaking(), SMALL, context(space=space, resume=resume))
    state = resume.load()
    assert state is not None
    assert state["step"] == 25
    resumed = discover(Convnet(), SMALL, context(space=space, resume=resume))
    assert torch.equal(resumed.supports, whole.supports)
    assert torch.equal(resumed.gamma, whole.gamma)
    assert torch.equal(resumed.unit, whole.unit)


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    class Failing(Convnet):
        calls = 0

        def render(self, codes: Codes) -> Tensor:
            self.calls += codes.latents.requires_grad
            return super().render(codes) * (math.nan if self.calls > 30 else 1.0)

    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(PluginError, match="loss was nan between steps 25 and 50"):
        discover(Failing(), SMALL, context(resume=resume))
    state = resume.load()
    assert state is not None
    assert torch.isfinite(state["supports"]).all()


def test_planted_directions_are_found() -> None:
    """At most half of random's principal angle, by the median of the eight, of mean displacements along the paths."""
    toy = load_toy(None, NoParams(), CPU)
    chosen = context(8, seed=1)

    by_chance = planted_angle(random(toy, ControlParams(), chosen).vectors)
    found = discover(toy, WarpedParams(steps=200, dipoles=8, shift_max=4.0), chosen)
    codes = toy.sample(64, "z", np.random.default_rng(0)).repeated(8)
    moved = found.displace(codes, torch.arange(8).repeat(64), torch.full((512,), 2.0))
    assert planted_angle((moved.latents - codes.latents).view(64, 8, -1).mean(0)) <= by_chance / 2
    assert by_chance > 60  # random itself is far from the bar
