"""disco: the losses against loops and closed forms, draws, the budget, resuming, failing, what it finds on toy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_controls.discover import random
from gdbench_controls.params import ControlParams
from gdbench_disco.discover import discover, draw, prepare, train_step
from gdbench_disco.encoder import Encoder
from gdbench_disco.loss import contrast, entropy, variations
from gdbench_disco.params import PAPER, SMOKE, STANDARD, DiscoParams
from gdbench_toy.generator import load as load_toy
from torch import Tensor

from gdbench import Codes, NoParams, PluginError, Stream, initialised, moments, orthonormal
from gdbench.context import ResumePoint
from gdbench.runs.counting import Counted
from tests.plugins.methods_generators import CPU, DIM, Convnet, context, planted_angle

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = DiscoParams(images=1_920, codes=4)  # 60 steps for 4 directions


def _rows(n: int, width: int, seed: int = 0) -> Tensor:
    made = np.abs(np.random.default_rng(seed).standard_normal((n, width)))
    return torch.from_numpy(made / np.linalg.norm(made, axis=1, keepdims=True))


# the losses


def _naive(rows: np.ndarray, index: list[int], flip: float) -> float:
    """Every ordered pair by itself, cross-entropy by its definition; positives weigh one third, negatives two."""
    positives, negatives = [], []
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            cosine = float(one @ other)
            probability = 1 / (1 + math.exp(-cosine))
            if index[i] != index[j]:
                target = cosine if cosine > flip else 0.0
                negatives.append(-target * math.log(probability) - (1 - target) * math.log(1 - probability))
            elif i != j:
                positives.append(-math.log(probability))
    return float(np.mean(positives) / 3 + 2 * np.mean(negatives) / 3)


@pytest.mark.parametrize("flip", [0.0, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("index", [[0, 0, 1, 1], [2, 0, 2, 0, 1, 1, 2], [0, 1, 0, 1, 0]])
def test_the_contrast_is_that_of_a_double_loop(index: list[int], flip: float) -> None:
    rows = _rows(len(index), 3)
    found = contrast(rows, torch.tensor(index), flip)
    assert float(found) == pytest.approx(_naive(rows.numpy(), index, flip), rel=1e-12)


def test_the_weights_are_those_of_one_query_with_the_official_numbers_of_keys() -> None:
    """Torch's mean over 32 positive and 64 negative logits, where all cosines of either kind are alike."""
    rows = torch.eye(2, dtype=torch.float64).repeat_interleave(2, 0)
    logits = torch.cat([torch.ones(32), torch.zeros(64)]).double()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, logits)
    torch.testing.assert_close(contrast(rows, torch.tensor([0, 0, 1, 1]), 0.95), expected)


def test_a_hard_negative_is_drawn_nearer_where_it_is_flipped_and_pushed_away_where_not() -> None:
    """Across its own row only other directions pull: the positive partner of the first row equals it."""
    for flip, sign in ((0.95, -1), (1.0, 1)):
        rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.99, 0.1411], [0.99, 0.1411]], requires_grad=True)
        contrast(rows, torch.tensor([0, 0, 1, 1]), flip).backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None
        assert float(rows.grad[0, 1]) * sign > 0.01


def test_entropies_of_an_even_and_of_a_one_hot_variation() -> None:
    even = torch.full((3, 16), 0.25, dtype=torch.float64)
    assert float(entropy(even)) == pytest.approx(math.log(16))
    share = math.e / (math.e + 15)
    rest = (1 - share) / 15
    expected = -share * math.log(share) - 15 * rest * math.log(rest)
    one_hot = torch.eye(16, dtype=torch.float64)
    assert float(entropy(one_hot)) == pytest.approx(expected)
    assert expected < float(entropy(_rows(50, 16))) < math.log(16)


def test_both_signs_of_a_change_are_one_variation_of_unit_length() -> None:
    before, after = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(variations(before, after), variations(after, before))
    torch.testing.assert_close(variations(before, after).norm(dim=1), torch.ones(5))
    torch.testing.assert_close(variations(before, before + 3 * (after - before)), variations(before, after))


def test_a_change_that_is_none_gives_no_nan() -> None:
    code = torch.zeros(4, 8, requires_grad=True)
    rows = variations(torch.zeros(4, 8), code)
    (contrast(rows, torch.tensor([0, 0, 1, 1]), 0.95) + entropy(rows)).backward()  # type: ignore[no-untyped-call]
    assert code.grad is not None
    assert torch.isfinite(code.grad).all()


# a step


def test_a_step_contrasts_the_variations_of_shifted_codes() -> None:
    generator, asked, params = Convnet(), context(3, "w"), DiscoParams(entropy=0.5)
    training = prepare(generator, params, asked)
    codes = generator.sample(6, "w", np.random.default_rng(0))
    index, shift = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 2.0])
    vectors, rows = training.vectors().detach(), []
    with torch.no_grad():
        for i, k in enumerate(index):
            moved = Codes(codes.latents[i : i + 1] + shift[i] * vectors[k], "w")
            change = training.encoder(generator.render(moved)) - training.encoder(generator.render(codes[i : i + 1]))
            rows.append((change.abs() / change.norm())[0].double())
    expected = _naive(torch.stack(rows).numpy(), index.tolist(), 0.95)
    loss, contrastive = train_step(generator, training, codes, index, shift, params).tolist()
    assert contrastive == pytest.approx(expected, rel=1e-5)
    assert loss == pytest.approx(expected + 0.5 * float(entropy(torch.stack(rows))), rel=1e-5)


def test_directions_and_encoder_are_both_learned() -> None:
    training = prepare(Convnet(), SMALL, context())
    before = [part.detach().clone() for part in (training.free, *training.encoder.parameters())]
    index, shift = draw(SMALL, 4, np.random.default_rng(0))
    train_step(Convnet(), training, Convnet().sample(16, "z", np.random.default_rng(1)), index, shift, SMALL)
    after = (training.free, *training.encoder.parameters())
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert sum(changed) >= len(changed) - 1  # the bias of the last layer cancels in a difference


@pytest.mark.parametrize("space", ["z", "w"])
def test_directions_stay_orthonormal_in_prior_deviations_throughout(space: str) -> None:
    generator, asked = Convnet(), context(5, space)
    training, inverse = prepare(generator, SMALL, asked), torch.linalg.inv(moments(generator, "w").covariance)
    for n in range(40):
        rng = Stream(0, "test").at(n)
        index, shift = draw(SMALL, 5, rng)
        train_step(generator, training, generator.sample(len(index), space, rng), index, shift, SMALL)
        rows = orthonormal(training.free.detach()).double()
        assert (rows @ rows.T - torch.eye(5)).abs().max() < 1e-5
    if space == "w":
        vectors = training.vectors().detach().double()
        torch.testing.assert_close(vectors @ inverse @ vectors.T, torch.eye(5).double(), atol=1e-3, rtol=0)


def test_raw_directions_are_of_unit_length_and_untrained_ones_are_those_of_the_control() -> None:
    raw = discover(Convnet(), DiscoParams(images=64, codes=4, whiten=False), context(4, "w"))
    torch.testing.assert_close(raw.vectors @ raw.vectors.T, torch.eye(4), atol=1e-5, rtol=0)
    untrained = discover(Convnet(), DiscoParams(images=0), context(4, "w"))
    torch.testing.assert_close(untrained.vectors, random(Convnet(), ControlParams(), context(4, "w")).vectors)


def test_shifts_lie_in_their_range_with_both_signs() -> None:
    drawn = [draw(DiscoParams(), 32, Stream(0, "test").at(step)) for step in range(100)]
    shifts = torch.cat([shift for _, shift in drawn]).double().numpy()
    low, high, n = DiscoParams().shift_min, DiscoParams().shift_max, len(shifts)
    assert low <= np.abs(shifts).min() < low + 0.01 < high - 0.01 < np.abs(shifts).max() <= high
    assert abs(np.mean(shifts > 0) - 0.5) < 4 * 0.5 / math.sqrt(n)
    assert np.abs(shifts[shifts < 0]).min() >= low  # the official clamp leaves short negative shifts
    assert abs(np.abs(shifts).mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * n)


def test_a_step_draws_directions_without_repeating_any_and_in_time_all() -> None:
    drawn = [draw(DiscoParams(directions=3, codes=4), 7, Stream(0, "test").at(step))[0] for step in range(60)]
    assert all(sorted(index.bincount(minlength=7).tolist()) == [0] * 4 + [4] * 3 for index in drawn)
    assert set(torch.cat(drawn).tolist()) == set(range(7))
    assert sorted(draw(DiscoParams(codes=2), 3, Stream(0, "test").at())[0].tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("official", "size"), [(False, 16), (False, 32), (True, 32), (True, 128)])
def test_the_encoder_takes_images_of_any_size(official: bool, size: int) -> None:
    encoder = initialised(Stream(0, "test").at(), lambda: Encoder(official, 3, size, 24))
    assert encoder(torch.zeros(2, 3, size, size)).shape == (2, 24)
    if official and size == 32:  # a convolution of 7x7 and three of 4x4, three dense layers, each with a bias
        convolutions = 64 * (3 * 49 + 1) + 128 * (64 * 16 + 1) + 256 * (128 * 16 + 1) + 256 * (256 * 16 + 1)
        dense = 256 * 4097 + 256 * 257 + 24 * 257
        assert sum(part.numel() for part in encoder.parameters()) == convolutions + dense


@pytest.mark.parametrize("k", [1, DIM + 1])
def test_one_direction_or_more_than_dimensions_are_refused_in_a_line(k: int) -> None:
    with pytest.raises(PluginError, match=f"contrasts 2 to {DIM} orthonormal directions here; K = {k} were asked"):
        discover(Convnet(), SMALL, context(k))


@pytest.mark.parametrize("k", [2, 7])
def test_images_are_rendered_up_to_the_budget_and_half_of_them_differentiated(k: int) -> None:
    generator = Counted(Convnet())
    discover(generator, DiscoParams(images=500, directions=4, codes=3), context(k))
    assert 500 - 2 * 3 * min(k, 4) < generator.images <= 500
    assert 2 * generator.backward == generator.images


def test_the_tiers_keep_their_caps_and_the_papers_is_of_70_000_steps() -> None:
    assert DiscoParams().images <= 1e5
    assert DiscoParams(**STANDARD).images <= 1e6
    paper = DiscoParams(**PAPER)
    assert paper.images / (2 * paper.directions * paper.codes) == 70_000
    assert DiscoParams(**SMOKE).images <= 1_000


# resuming and failing


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = discover(Convnet(), SMALL, context())
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)

    class Breaking(Convnet):
        calls = 0

        def render(self, codes: Codes) -> Tensor:
            self.calls += codes.latents.requires_grad
            if self.calls > 40:
                raise KeyboardInterrupt
            return super().render(codes)

    with pytest.raises(KeyboardInterrupt):
        discover(Breaking(), SMALL, context(resume=resume))
    state = resume.load()
    assert state is not None
    assert state["step"] == 25
    assert torch.equal(discover(Convnet(), SMALL, context(resume=resume)).vectors, whole.vectors)


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
    assert torch.isfinite(state["free"]).all()
    assert all(torch.isfinite(tensor).all() for tensor in state["encoder"].values())


def test_global_random_state_is_neither_used_nor_changed() -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(discover(Convnet(), DiscoParams(images=96, codes=4), context()).vectors)
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(*found)


# planted truth


def test_directions_of_toy_are_found_and_each_moves_one_planted_direction_most() -> None:
    """At most half of random's principal angle, by the median of the eight.

    Not by the largest: two or three orthonormal directions may share one planted direction, beside different idle
    latents, and then others are never found. These settings meet it (images=150_000, shifts of .3 to 2, seed 1); the
    page says where it is missed.
    """
    toy = load_toy(None, NoParams(), CPU)
    asked = context(8, seed=1)

    def purity(vectors: Tensor) -> float:
        """Median cosine of the part of a direction that acts with the planted direction that is next to it."""
        acting = torch.nn.functional.normalize(vectors.double() @ toy.planted.double().T, dim=1)
        return float(acting.abs().amax(1).median())

    chance = random(toy, ControlParams(), asked).vectors
    found = discover(toy, DiscoParams(images=150_000, shift_min=0.3, shift_max=2.0), asked).vectors
    assert planted_angle(found) <= planted_angle(chance) / 2
    assert planted_angle(chance) > 60  # random itself is far from the bar
    assert purity(found) > 0.9 > 0.8 > purity(chance)
