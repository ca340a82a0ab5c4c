"""latentclr: the loss against a double loop, its corrections, the budget, resuming, failing, planted truth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_controls.discover import random
from gdbench_controls.params import ControlParams
from gdbench_latentclr.discover import chosen, discover, draw, prepare, train_step
from gdbench_latentclr.loss import contrast
from gdbench_latentclr.params import PAPER, LatentclrParams
from gdbench_toy.generator import load as load_toy
from torch import Tensor

from gdbench import Codes, NoParams, PluginError, Stream, moments
from gdbench.context import ResumePoint
from gdbench.runs.counting import Counted
from tests.plugins.methods_generators import CPU, DIM, Convnet, context, planted_angle

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = LatentclrParams(images=1_200, batch=4)  # 60 steps for 4 directions


# the loss


def _naive(divergences: np.ndarray, temperature: float) -> np.ndarray:
    k, n, _ = divergences.shape

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    loss = np.zeros((k, n))
    for direction in range(k):
        for code in range(n):
            alike, unlike = [], []
            for other in range(k):
                for partner in range(n):
                    s = cosine(divergences[direction, code], divergences[other, partner])
                    if other != direction:
                        unlike.append(math.exp(abs(s) / temperature))
                    elif partner != code:
                        alike.append(math.exp(s / temperature))
            loss[direction, code] = -math.log(np.mean(alike) / np.mean(unlike))
    return loss


@pytest.mark.parametrize(("k", "n", "temperature"), [(2, 2, 0.5), (4, 3, 0.5), (3, 5, 0.07)])
def test_the_loss_is_that_of_a_double_loop(k: int, n: int, temperature: float) -> None:
    divergences = np.random.default_rng(0).standard_normal((k, n, 6))
    found = contrast(torch.from_numpy(divergences), temperature)
    np.testing.assert_allclose(found.numpy(), _naive(divergences, temperature), rtol=1e-10)


def test_directions_that_are_told_apart_perfectly_reach_the_least_loss() -> None:
    divergences = torch.eye(3, dtype=torch.float64)[:, None].expand(3, 4, 3)
    torch.testing.assert_close(contrast(divergences, 0.5), torch.full((3, 4), -2.0).double())


def test_the_opposite_of_a_direction_is_no_new_direction() -> None:
    one = torch.tensor([1.0, 0.0]).expand(1, 3, 2)
    assert (contrast(torch.cat([one, -one]), 0.5).abs() < 1e-6).all()  # nothing is told apart


def test_opposite_effects_on_two_codes_are_not_alike() -> None:
    torn = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    other = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    torch.testing.assert_close(contrast(torch.stack([torn, other]), 0.5)[0], torch.full((2,), 2.0))


def test_lengths_of_divergences_do_not_matter_and_dead_ones_give_no_nan() -> None:
    divergences = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    scaled = divergences * torch.rand(3, 4, 1, generator=torch.Generator().manual_seed(1)).add(0.1)
    torch.testing.assert_close(contrast(scaled, 0.5), contrast(divergences, 0.5))
    dead = torch.zeros(3, 4, 5, requires_grad=True)
    contrast(dead, 0.5).mean().backward()
    assert dead.grad is not None
    assert torch.isfinite(dead.grad).all()


# a step


def test_a_step_contrasts_the_divergences_of_shifted_codes() -> None:
    generator, asked = Convnet(), context(3, "w")
    training = prepare(generator, LatentclrParams(), asked)
    codes = generator.sample(4, "w", np.random.default_rng(0))
    before = generator.features(codes, "wide")
    expected = np.zeros((3, 4, before.flatten(1).shape[1]))
    for k, vector in enumerate(training.vectors().detach()):
        expected[k] = (generator.features(codes.shifted(-1.5 * vector), "wide") - before).numpy()
    loss = train_step(generator, training, codes, -1.5, "wide", 0.5)
    assert float(loss) == pytest.approx(_naive(expected, 0.5).mean(), rel=1e-3)


def test_vectors_are_of_unit_length_in_prior_deviations() -> None:
    generator, asked = Convnet(), context(4, "w")
    found = discover(generator, SMALL, asked)
    assert found.unit is not None
    steps = (found.vectors * found.unit[:, None]).double()
    inverse = torch.linalg.inv(moments(generator, "w").covariance)
    torch.testing.assert_close(((steps @ inverse) * steps).sum(1), torch.ones(4).double(), atol=1e-3, rtol=0)
    raw = discover(generator, LatentclrParams(images=40, batch=4, whiten=False), asked)
    assert raw.unit is not None
    torch.testing.assert_close(raw.unit, torch.ones(4))


def test_shifts_lie_in_their_range_with_both_signs() -> None:
    shifts = np.array([draw(LatentclrParams(), Stream(0, "test").at(step)) for step in range(2_000)])
    assert abs(np.mean(shifts > 0) - 0.5) < 4 * 0.5 / math.sqrt(2_000)
    assert 1 <= np.abs(shifts).min() <= np.abs(shifts).max() <= 3
    assert abs(np.abs(shifts).mean() - 2) < 4 * 2 / math.sqrt(12 * 2_000)
    assert draw(LatentclrParams(**PAPER), Stream(0, "test").at()) == 3.0  # type: ignore[arg-type]


def test_layers_are_chosen_by_name_or_middle() -> None:
    assert chosen(Convnet(), "middle") == "wide"
    assert chosen(Convnet(), "first") == "first"
    with pytest.raises(PluginError, match="no layer 'fifth'; it shows first, wide"):
        chosen(Convnet(), "fifth")


def test_a_generator_without_layers_is_refused() -> None:
    class Closed(Convnet):
        feature_layers = ()

    with pytest.raises(PluginError, match="the generator shows no layer 'middle'; it shows none"):
        discover(Closed(), SMALL, context())


def test_one_direction_has_nothing_to_contrast_with() -> None:
    with pytest.raises(PluginError, match="two or more"):
        discover(Convnet(), SMALL, context(1))


@pytest.mark.parametrize("k", [2, 7])
def test_features_are_computed_up_to_the_budget(k: int) -> None:
    generator = Counted(Convnet())
    discover(generator, LatentclrParams(images=500, batch=3), context(k))  # type: ignore[arg-type]
    assert 500 - 3 * (k + 1) < generator.images <= 500
    assert generator.backward * (k + 1) == generator.images * k


def test_a_quick_run_computes_what_its_page_says() -> None:
    generator = Counted(Convnet())
    discover(generator, LatentclrParams(), context(32))  # type: ignore[arg-type]
    assert (generator.images, generator.backward) == (97_944, 94_976)


# resuming and failing


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = discover(Convnet(), SMALL, context())
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)

    class Breaking(Convnet):
        calls = 0

        def features(self, codes: Codes, layer: str) -> Tensor:
            self.calls += codes.latents.requires_grad
            if self.calls > 40:
                raise KeyboardInterrupt
            return super().features(codes, layer)

    with pytest.raises(KeyboardInterrupt):
        discover(Breaking(), SMALL, context(resume=resume))
    state = resume.load()
    assert state is not None
    assert state["step"] == 25
    assert torch.equal(discover(Convnet(), SMALL, context(resume=resume)).vectors, whole.vectors)


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    class Failing(Convnet):
        calls = 0

        def features(self, codes: Codes, layer: str) -> Tensor:
            self.calls += codes.latents.requires_grad
            return super().features(codes, layer) * (math.nan if self.calls > 30 else 1.0)

    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(PluginError, match="loss was nan between steps 25 and 50"):
        discover(Failing(), SMALL, context(resume=resume))
    state = resume.load()
    assert state is not None
    assert torch.isfinite(state["free"]).all()


# planted truth


def test_planted_directions_are_found() -> None:
    """At most half of random's principal angle, by the median of the eight."""
    toy = load_toy(None, NoParams(), CPU)
    asked = context(8, seed=1)

    by_chance = planted_angle(random(toy, ControlParams(), asked).vectors)
    assert planted_angle(discover(toy, LatentclrParams(images=40_000), asked).vectors) <= by_chance / 2
    assert by_chance > 60  # random itself is far from the bar


def test_the_space_is_as_wide_as_asked() -> None:
    assert discover(Convnet(), SMALL, context(3)).vectors.shape == (3, DIM)
