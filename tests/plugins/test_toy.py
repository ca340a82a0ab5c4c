"""The toy: its truth is exact, its oracles invert the picture, and its planted directions do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_toy.domain import load as load_domain
from gdbench_toy.generator import GAINS, Toy
from gdbench_toy.generator import load as load_toy
from gdbench_toy.oracles import ToyOracle
from gdbench_toy.picture import EDGE, FACTORS, NAMES, RANGES, SOFTNESS, STRIPE_TURNS, STRIPES, draw

from gdbench import Codes, LinearDirections, NoParams, Stream, UsageError, calibrate, moments

CPU = torch.device("cpu")
CIRCULAR = {factor.name for factor in FACTORS if factor.kind == "circular"}


@pytest.fixture(scope="module")
def toy() -> Toy:
    return load_toy(None, NoParams(), CPU)


def rng(seed: int = 0) -> np.random.Generator:
    return Stream(seed, "test").at()


def test_a_picture_is_what_the_formulas_say() -> None:
    factors = {"level": -0.2, "phase": 0.3, "hue": 0.6, "brightness": 0.4}
    factors |= {"size": 0.37, "x": 0.1, "y": -0.2, "presence": 0.8}
    images, masks = draw(torch.tensor([[factors[name] for name in NAMES]]))
    x, y = (np.arange(32) + 0.5) / 16 - 1, (np.arange(32)[:, None] + 0.5) / 16 - 1
    mask = 1 / (1 + np.exp(-(0.37**2 - (x - 0.1) ** 2 - (y + 0.2) ** 2) / EDGE))
    stripes = STRIPES * np.cos(2 * np.pi * (STRIPE_TURNS[0] * x + STRIPE_TURNS[1] * y + 0.3))
    ground = 0.8 * (-0.2 + stripes) + 0.2
    third = 2 * np.pi / 3
    colour = [0.4 + 0.45 * np.cos(2 * np.pi * 0.6 - channel * third) for channel in range(3)]
    expected = np.stack([(1 - mask) * ground + mask * value for value in colour])
    np.testing.assert_allclose(images[0].numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(masks[0].numpy(), mask, atol=1e-5)


@pytest.mark.parametrize("which", ["a", "b"])
def test_oracles_read_every_factor(which: str) -> None:
    domain = load_domain(CPU)
    images, truth = domain.truth(500, rng())
    read = domain.oracle(which).read(images)  # type: ignore[arg-type]
    for name, true in truth.items():
        apart = (read[name] - true).double()
        assert apart.square().mean() < 2e-3 * true.double().var(), name


@pytest.mark.parametrize("which", ["a", "b"])
def test_an_oracle_reads_edits_far_outside_the_prior(toy: Toy, which: str) -> None:
    codes = toy.sample(50, "z", rng())
    for k, name in enumerate(NAMES):
        for length in (-8.0, 8.0):
            edited = codes.shifted(length * toy.planted[k])
            read = load_domain(CPU).oracle(which).read(toy.render(edited))[name]  # type: ignore[arg-type]
            true = toy.factors(edited)[:, k]
            visible = toy.factors(edited)[:, NAMES.index("presence")] > 0.3
            seen = visible if name in ("level", "phase") else torch.ones(50, dtype=torch.bool)
            low, high = RANGES[k]
            assert float((read - true)[seen].abs().max()) < 0.06 * (high - low), (name, length)


def test_masks_are_exact() -> None:
    domain = load_domain(CPU)
    images, masks = domain.pairs(20, rng())
    for which in ("a", "b"):
        assert torch.allclose(domain.oracle(which).mask(images), masks, atol=1e-5)  # type: ignore[arg-type]


def test_planted_directions_are_orthonormal_and_along_no_axis(toy: Toy) -> None:
    planted = toy.planted.double()
    assert torch.allclose(planted @ planted.T, torch.eye(8, dtype=torch.float64), atol=1e-6)
    assert float(planted.abs().max()) < 0.5


def test_each_planted_direction_moves_its_factor_and_no_other(toy: Toy) -> None:
    codes = toy.sample(30, "z", rng())
    before = toy.factors(codes)
    for k in range(8):
        moved = toy.factors(codes.shifted(2 * toy.planted[k])) - before
        assert float(moved[:, k].min()) > 0
        others = torch.cat([moved[:, :k], moved[:, k + 1 :]], 1)
        assert float(others.abs().max()) < 1e-5


def test_factors_follow_the_squashed_linear_layer(toy: Toy) -> None:
    codes = toy.sample(10, "z", rng())
    linear = codes.latents.double() @ (toy.planted.double() * torch.tensor(GAINS)[:, None]).T
    low, high = torch.tensor(RANGES, dtype=torch.float64).T
    assert torch.allclose(toy.features(codes, "linear").double(), linear, atol=1e-5)
    expected = (low + high) / 2 + (high - low) / 2 * torch.tanh(linear / SOFTNESS)
    assert torch.allclose(toy.features(codes, "factors").double(), expected, atol=1e-5)


def test_what_is_orthogonal_to_the_planted_directions_does_nothing(toy: Toy) -> None:
    codes = toy.sample(20, "z", rng())
    elsewhere = torch.linalg.qr(torch.cat([toy.planted, torch.eye(64)]).T).Q.T[8:]
    moved = codes.shifted(5 * elsewhere[:20])
    assert torch.allclose(toy.render(codes), toy.render(moved), atol=1e-5)


def test_the_modulation_weights_give_the_planted_directions_in_order(toy: Toy) -> None:
    (weight,) = toy.modulation_weights("z").values()
    found = torch.linalg.svd(weight.double()).Vh[:8]
    assert torch.allclose((found * toy.planted).sum(1).abs(), torch.ones(8, dtype=torch.float64), atol=1e-5)


def test_every_planted_direction_reaches_every_calibrated_change_and_dead_ones_none(toy: Toy) -> None:
    rows = torch.cat([toy.planted, torch.linalg.qr(torch.cat([toy.planted, torch.eye(64)]).T).Q.T[8:10]])
    oracle = load_domain(CPU).oracle("a")
    calibration = calibrate(toy, LinearDirections(rows, "z"), oracle, moments(toy, "z"), Stream(0, "test"), codes=32)
    assert bool(torch.isfinite(calibration.magnitude(0.45)[:8]).all())
    assert calibration.dead.tolist() == [[False, False]] * 8 + [[True, True]] * 2


def test_images_stay_in_range_at_the_ends_of_every_factor() -> None:
    low, high = torch.tensor(RANGES).T
    corners = torch.from_numpy(np.stack(np.meshgrid(*[[0.0, 1.0]] * 8), -1).reshape(-1, 8).astype(np.float32))
    images, _ = draw(low + corners * (high - low))
    assert float(images.abs().max()) <= 1.0


def test_an_image_that_is_no_picture_of_the_toy_is_read_without_nan() -> None:
    nothing = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32), -torch.ones(3, 32, 32)])
    for which in ("a", "b"):
        oracle: ToyOracle = load_domain(CPU).oracle(which)  # type: ignore[arg-type]
        values = [*oracle.read(nothing).values(), *oracle.embed(nothing)[0], oracle.mask(nothing)]
        assert all(bool(torch.isfinite(value).all()) for value in values)


def test_what_the_toy_does_not_have_is_refused(toy: Toy) -> None:
    with pytest.raises(UsageError, match="no space 'w'"):
        toy.render(Codes(torch.zeros(1, 64), "w"))
    with pytest.raises(UsageError, match="no layer"):
        toy.features(toy.sample(1, "z", rng()), "conv1")
