"""Recall and precision of known factors: closed forms, a plain float64 re-derivation, planted truth, the cap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from gdbench_metrics.matching import Judged, precision, recall, summary
from gdbench_metrics.params import RecoveryParams
from gdbench_metrics.recovery import halves, measure
from gdbench_metrics.shares import changes, contrasts, wording
from torch import Tensor

from gdbench import Codes, Edits, Factor, LinearDirections, Readings, Scores, Void
from tests.plugins.metrics_subjects import DOMAIN, PLANTED, context, random_directions, subject

N = 200
RNG = np.random.default_rng(7)
LINEAR = tuple(Factor(name) for name in "pqrs")
HUE = Factor("hue", "circular")
SHAPE = Factor("shape", "class", classes=("disc", "ring", "cross"))


def edits(base: Mapping[str, Tensor], edited: Mapping[str, Tensor], alive: Tensor | None = None) -> Edits:
    """Edits of which only the factors matter. base: (n, ...) by name; edited: (k, 2, n, ...)."""
    k, _, n = next(iter(edited.values())).shape[:3]
    alive = torch.ones(k, 2, dtype=torch.bool) if alive is None else alive
    nothing = torch.zeros(0)
    return Edits(
        0.3, Codes(torch.zeros(n, 1), "z"), alive.float(), alive, Readings(base, nothing), Readings(edited, nothing)
    )


def moved(table: Tensor, noise: float = 0.0, alive: Tensor | None = None) -> Edits:
    """Linear factors of unit variance, which direction k moves by +-table[k, j] in every image."""
    k, j = table.shape
    base = torch.from_numpy(RNG.standard_normal((N, j)))
    step = torch.stack([table, -table], 1)[:, :, None].double()
    step = step + noise * torch.from_numpy(RNG.standard_normal((k, 2, N, j)))
    if alive is not None:
        step = step * alive[..., None, None]
    both = {factor.name: (base[:, i], base[:, i] + step[..., i]) for i, factor in enumerate(LINEAR[:j])}
    return edits({n: v[0] for n, v in both.items()}, {n: v[1] for n, v in both.items()}, alive)


def summarised(
    of: Edits, factors: tuple[Factor, ...], variances: Mapping[str, float] | None = None
) -> dict[str, float]:
    parts = contrasts(of, factors, factors, variances or {factor.name: 1.0 for factor in factors})
    return dict(summary(halves(parts, of.alive, torch.ones(len(of.codes), dtype=torch.bool))))


def linear(table: Tensor, noise: float = 0.0, alive: Tensor | None = None) -> dict[str, float]:
    return summarised(moved(table, noise, alive), LINEAR[: table.shape[1]])


def one_share(factor: Factor, base: Tensor, edited: Tensor, variance: float) -> float:
    """The share that a single direction has on the only factor there is."""
    of = edits({factor.name: base}, {factor.name: edited[None]})
    parts = contrasts(of, [factor], [factor], {factor.name: variance})
    return float(changes(parts, of.alive, torch.ones(len(base), dtype=torch.bool)).shares)


def test_one_pure_direction_for_each_factor_is_perfect() -> None:
    found = linear(torch.eye(4))
    assert found["recall"] == pytest.approx(1)
    assert found["precision"] == pytest.approx(1)
    assert found["F1"] == pytest.approx(1)
    assert found["purity"] == pytest.approx(1)
    assert found["found"] == 4
    assert found["led"] == pytest.approx(4)


def test_copies_of_one_direction_count_once() -> None:
    found = linear(torch.eye(4)[[0, 0, 0, 0]])
    assert found["recall"] == pytest.approx(1 / 4)
    assert found["precision"] == pytest.approx(1 / 4)  # ceil(4 / 4) of them
    assert found["purity"] == pytest.approx(1)
    assert found["led"] == pytest.approx(1)
    eight = linear(torch.eye(4)[[0] * 8])
    assert eight["precision"] == pytest.approx(2 / 8)  # ceil(8 / 4) of them


def test_good_rows_and_copies_of_them_never_beat_good_rows_and_other_good_rows() -> None:
    good, other = torch.eye(4)[[0, 1]], torch.eye(4)[[2, 3]]
    copies, different = linear(torch.cat([good, good])), linear(torch.cat([good, other]))
    for column in ("recall", "precision", "F1"):
        assert copies[column] < different[column] - 0.2


def test_dead_directions_are_failures() -> None:
    alive = torch.tensor([[True, True], [True, True], [False, False], [False, False]])
    half = linear(torch.eye(4), alive=alive)
    assert half["recall"] == pytest.approx(0.5)
    assert half["precision"] == pytest.approx(0.5)
    one_sided = linear(torch.eye(4), alive=torch.tensor([[True, False]] * 4))
    assert one_sided["recall"] == pytest.approx(0.5)  # the share is that of the living sign, halved once
    assert linear(torch.eye(4), alive=torch.zeros(4, 2, dtype=torch.bool))["F1"] == 0


def test_a_direction_that_moves_two_factors_alike_shares() -> None:
    found = linear(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    assert found["recall"] == pytest.approx((0.5 + 1) / 2)
    assert found["precision"] == pytest.approx((0.5 + 1) / 2)


def test_an_effect_whose_sign_flips_between_images_is_none() -> None:
    base = torch.from_numpy(RNG.standard_normal(N))
    flips = torch.from_numpy(RNG.choice([-1.0, 1.0], N))
    share = one_share(LINEAR[0], base, torch.stack([base + flips, base - flips]), 1.0)
    assert abs(share) < 0.05


def test_the_same_change_at_both_ends_is_unwanted() -> None:
    base = torch.from_numpy(RNG.standard_normal(N))
    assert abs(one_share(LINEAR[0], base, torch.stack([base + 1, base + 1]), 1.0)) < 1e-9


def test_a_hair_of_one_factor_is_not_pure() -> None:
    """A direction that does next to nothing, all of it to one factor, has no share: the rest has no name."""
    assert linear(0.2 * torch.eye(4))["recall"] == 0
    assert linear(0.3 * torch.eye(4))["recall"] == pytest.approx(1)


def test_turning_and_setting_a_hue_are_both_clear_edits() -> None:
    turns = torch.from_numpy(RNG.random(2000))
    turned = torch.stack([(turns + 0.11) % 1, (turns - 0.11) % 1])
    assert one_share(HUE, turns, turned, 1.0) > 0.95
    ends = torch.tensor([0.3, 0.8])[:, None].expand(2, 2000)  # + makes it green, - magenta
    assert one_share(HUE, turns, ends, 1.0) > 0.95
    scattered = torch.from_numpy(RNG.random((2, 2000)))
    assert abs(one_share(HUE, turns, scattered, 1.0)) < 0.05


def test_a_class_swap_is_a_clear_edit() -> None:
    """Of rings and crosses, + makes rings, - crosses; discs among them shift at both ends, which costs their part."""
    one_hot = torch.eye(3, dtype=torch.float64)
    swap = torch.stack([one_hot[1].expand(N, 3), one_hot[2].expand(N, 3)])
    pair = one_hot[1 + torch.from_numpy(RNG.integers(2, size=N))]
    assert one_share(SHAPE, pair, swap, 1 / 2) > 0.95
    third = one_hot[torch.arange(N) % 3]
    assert one_share(SHAPE, third, swap, 2 / 3) == pytest.approx(0.5 / (0.5 + 1 / 6), abs=0.01)


def test_chance_has_no_share_on_average() -> None:
    """C is unbiased: pure noise has a share of 0 in the mean over 400 directions, not 1 / n."""
    of = moved(torch.zeros(400, 1), noise=1.0)
    parts = contrasts(of, LINEAR[:1], LINEAR[:1], {"p": 1.0})
    shares = changes(parts, of.alive, torch.arange(N) < 20).shares[:, 0]
    assert abs(float(shares.mean())) < 3 * float(shares.std()) / 400**0.5
    assert float(shares.min()) < 0  # not clipped


def test_words_say_what_plus_does() -> None:
    of = moved(-torch.eye(2))
    x = Factor("p", moves=("moves left", "moves right"))
    part = contrasts(of, LINEAR[:2], [x], {"p": 1.0})[0]
    assert wording(part, 0, False) == "moves left"
    assert wording(contrasts(moved(torch.eye(2)), LINEAR[:2], LINEAR[:1], {"p": 1.0})[0], 0, False) == "raises p"
    turns = torch.from_numpy(RNG.random(N))
    hue = edits({"hue": turns}, {"hue": torch.stack([(turns - 0.1) % 1, (turns + 0.1) % 1])[None]})
    assert wording(contrasts(hue, [HUE], [HUE], {"hue": 1.0})[0], 0, True) == "turns hue by -36°"
    one_hot = torch.eye(3)
    shape = torch.stack([one_hot[1].expand(N, 3), one_hot[2].expand(N, 3)])[None]
    part = contrasts(edits({"shape": one_hot[[0] * N]}, {"shape": shape}), [SHAPE], [SHAPE], {"shape": 0.5})[0]
    assert wording(part, 0, False) == "shape to ring"


def plain_numbers(of: Edits, factors: list[Factor], variances: Mapping[str, float], codes: list[int]) -> np.ndarray:
    """(k, j, 2): C and T by the formulas of the page, one direction, factor and code after the other."""
    k = len(of.alive)
    table = np.zeros((k, len(factors), 2))
    for d, (j, factor) in itertools.product(range(k), enumerate(factors)):
        plus_lives, minus_lives = (bool(value) for value in of.alive[d])
        base, edited = of.base.factors, of.edited.factors
        contrast, common, angles = [], [], []
        for i in codes:
            readings = [base[factor.name][i], *([edited[factor.name][d, 0, i]] * plus_lives)]
            readings += [edited[factor.name][d, 1, i]] * minus_lives
            if factor.visible_with is not None:
                need, threshold = factor.visible_with
                needed = [base[need][i], *([edited[need][d, 0, i]] * plus_lives)]
                needed += [edited[need][d, 1, i]] * minus_lives
                if min(float(value) for value in needed) <= threshold:
                    continue
            if not plus_lives and not minus_lives:
                continue

            def phi(value: Tensor, factor: Factor = factor) -> np.ndarray:
                if factor.kind == "circular":
                    point = np.array([math.cos(2 * math.pi * float(value)), math.sin(2 * math.pi * float(value))])
                else:
                    point = np.atleast_1d(np.asarray(value, dtype=float))
                return point / math.sqrt(variances[factor.name])

            zero, plus, minus = (phi(v) for v in (base[factor.name][i], *edited[factor.name][d, :, i]))
            if plus_lives and minus_lives:
                contrast.append((plus - minus) / 2)
                common.append((plus + minus - 2 * zero) / 2)
            else:
                contrast.append(plus - zero if plus_lives else zero - minus)
            if factor.kind == "circular":
                start = edited[factor.name][d, 1, i] if minus_lives else base[factor.name][i]
                end = edited[factor.name][d, 0, i] if plus_lives else base[factor.name][i]
                angle = 2 * math.pi * (float(end) - float(start))
                angle = math.atan2(math.sin(angle), math.cos(angle))
                angles.append(angle / (2 if plus_lives and minus_lives else 1))
            del readings
        n = len(contrast)
        if n < 8:
            continue
        c = np.stack(contrast)
        m2, square = float(np.sum(c.mean(0) ** 2)), float(np.sum(c**2, 1).mean())
        extra = float(np.sum(np.stack(common).mean(0) ** 2)) if common else 0.0
        consistent = m2 - (square - m2) / (n - 1)
        if angles:
            mean = np.exp(1j * np.array(angles)).mean()
            r2 = abs(mean) ** 2 - (1 - abs(mean) ** 2) / (n - 1)
            turning = r2 * abs(np.exp(1j * np.angle(mean)) - 1) ** 2 / variances[factor.name]
            consistent = max(consistent, min(turning, square))
        table[d, j] = np.array([consistent, square + extra]) * n / len(codes)
    return table


def plain_summary(of: Edits, factors: list[Factor], variances: Mapping[str, float]) -> tuple[float, float, float]:
    """Recall, precision and purity by the formulas of the page; assignments by trying all of them."""
    n, k, j = len(of.codes), len(of.alive), len(factors)
    numbers = [plain_numbers(of, factors, variances, list(range(start, n, 2))) for start in (0, 1)]
    found = []
    for decide, score in (numbers, numbers[::-1]):
        share, other = np.zeros((k, j)), np.zeros((k, j))
        for d in range(k):
            alive = float(of.alive[d].double().mean())
            for f in range(j):
                if decide[d, f, 0] > 0 and math.sqrt(decide[d, f, 0]) >= 0.25:
                    share[d, f] = decide[d, f, 0] / decide[d, :, 1].sum() * alive
                    other[d, f] = score[d, f, 0] / score[d, :, 1].sum() * alive
        choices = itertools.permutations(range(k), j)
        chosen = max(choices, key=lambda rows: sum(share[row, f] for f, row in enumerate(rows)))
        recalled = sum(other[row, f] for f, row in enumerate(chosen)) / j
        precise, pure = 0.0, 0.0
        for f in range(j):
            led = [d for d in range(k) if share[d].max() > 0 and int(share[d].argmax()) == f]
            led.sort(key=lambda d, f=f: -share[d, f])
            precise += sum(other[d, f] for d in led[: math.ceil(k / j)]) / k
            pure += sum(other[d, f] for d in led) / k
        found.append((recalled, precise, pure))
    return tuple(float(value) for value in np.mean(found, 0))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(3))
def test_every_number_agrees_with_a_plain_derivation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = 60, 6
    factors = [Factor("p"), Factor("q", "linear", ("p", -0.8)), HUE, SHAPE]
    base = {name: torch.from_numpy(rng.standard_normal(n)) for name in "pq"}
    base["hue"] = torch.from_numpy(rng.random(n))
    base["shape"] = torch.from_numpy(rng.dirichlet(np.ones(3), n))
    effect = torch.from_numpy(rng.standard_normal((k, 1, 1)))
    sign = torch.tensor([1.0, -1.0])[None, :, None]
    edited = {
        name: base[name] + effect * sign * weight + 0.3 * torch.from_numpy(rng.standard_normal((k, 2, n)))
        for name, weight in (("p", 1.0), ("q", 0.4))
    }
    edited["hue"] = (base["hue"] + 0.1 * effect * sign + 0.05 * torch.from_numpy(rng.standard_normal((k, 2, n)))) % 1
    edited["shape"] = torch.from_numpy(rng.dirichlet(np.ones(3), (k, 2, n)))
    alive = torch.ones(k, 2, dtype=torch.bool)
    alive[1, 0] = alive[2, 1] = False
    alive[3] = False
    of = edits(base, edited, alive)
    variances = {"p": 1.3, "q": 0.7, "hue": 0.9, "shape": 0.3}
    parts = contrasts(of, factors, factors, variances)
    kept = torch.arange(n) % 2 == 1
    ours = changes(parts, alive, kept)
    plain = plain_numbers(of, factors, variances, list(range(1, n, 2)))
    assert np.allclose(ours.consistent, plain[..., 0], atol=1e-12)
    assert np.allclose(ours.total, plain[..., 1], atol=1e-12)
    found = summary(halves(parts, alive, torch.ones(n, dtype=torch.bool)))
    assert (found["recall"], found["precision"], found["purity"]) == pytest.approx(
        plain_summary(of, factors, variances), abs=1e-12
    )


def test_the_half_that_decides_does_not_score() -> None:
    table = Judged(np.array([[0.9, 0.0], [0.8, 0.7]]), np.array([[0.1, 0.0], [0.6, 0.2]]))
    assert recall(table) == pytest.approx((0.1 + 0.2) / 2)  # 0 -> 0 and 1 -> 1 decides best
    assert precision(table) == pytest.approx(0.1 / 2)  # both lead the first factor, one place, the decided one scores


def test_planted_directions_of_the_toy_generator_reach_the_ceiling() -> None:
    planted = measure(subject(PLANTED, n=64), RecoveryParams(samples=800), context(len(PLANTED)))
    floor = measure(subject(random_directions(len(PLANTED)), n=64), RecoveryParams(samples=800), context(len(PLANTED)))
    assert float(planted.values["recall"]) > 0.8  # type: ignore[arg-type]
    assert float(planted.values["precision"]) > 0.8  # type: ignore[arg-type]
    assert float(floor.values["F1"]) < float(planted.values["F1"]) / 2  # type: ignore[arg-type]
    assert len(set(planted.directions["leading"])) == len(PLANTED)


def test_sign_order_and_length_of_directions_change_nothing() -> None:
    def scores(vectors: Tensor) -> Scores:
        return measure(subject(vectors, n=32), RecoveryParams(samples=500), context(len(PLANTED)))

    reference, turned = scores(PLANTED), scores(-3 * PLANTED.flip(0))
    for column in ("recall", "precision", "F1", "purity"):
        assert turned.values[column] == pytest.approx(reference.values[column], abs=0.02)


def test_directions_that_depend_on_the_code_are_void() -> None:
    class Local(LinearDirections):
        code_dependent = True

    values = measure(subject(Local(PLANTED, "z"), n=8), RecoveryParams(samples=100), context(len(PLANTED))).values
    assert isinstance(values["F1"], Void)
    assert "depend on the code" in values["F1"].reason


def test_the_table_names_the_best_direction_of_each_factor() -> None:
    directions = measure(subject(PLANTED, n=64), RecoveryParams(samples=800), context(len(PLANTED))).directions
    names = [name.removeprefix("best:") for name in directions if name.startswith("best:")]
    assert set(names) <= {factor.name for factor in DOMAIN.factors}
    for name in names:
        best = np.asarray(directions[f"best:{name}"], dtype=float)
        assert np.isfinite(best).sum() == 1
        assert int(np.nanargmax(best)) == int(np.argmax(np.asarray(directions[f"share:{name}"], dtype=float)))
    last = len(PLANTED) - 1
    assert directions["recall_at"][last] == pytest.approx(directions["recall_any"][last])
