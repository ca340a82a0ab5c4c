"""Factors: scores of planted tables against closed forms, differences and gates against definitions, and the toy."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_metrics import factor_gates
from gdbench_metrics.effects import effects, monotonicity
from gdbench_metrics.factor_gates import Sample, agreement, explained, reasons
from gdbench_metrics.factor_scores import Effects, scores
from gdbench_metrics.factors import measure
from gdbench_metrics.params import FactorsParams
from torch import Tensor

from gdbench import Codes, Edits, Factor, Void, difference, spread, steering, turned, visible
from gdbench.evaluation.subject import Readings
from tests.plugins.metrics_subjects import DOMAIN, PLANTED, context, paths, random_directions, subject

QUICK = FactorsParams(samples=300)
LINEAR, TURN, CLASS = Factor("size"), Factor("hue", "circular"), Factor("shape", "class")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def planted(table: list[list[float]], alive: list[float] | None = None) -> dict[str, float]:
    return dict(scores(Effects(torch.tensor(table), torch.tensor(alive or [1.0] * len(table)))))


def test_one_factor_each_is_perfect() -> None:
    perfect = dict.fromkeys(("disentanglement", "completeness"), 1.0)
    assert planted((2 * torch.eye(4)).tolist()) == pytest.approx(perfect)


def test_everything_everywhere_is_nothing() -> None:
    found = planted([[1.0] * 4] * 4)
    assert found == pytest.approx({"disentanglement": 0, "completeness": 0}, abs=1e-9)


def test_a_table_worked_out_by_hand() -> None:
    found = planted([[3.0, 1.0], [0.3, 0.1], [1.0, 1.0]])
    entropy = lambda *p: -sum(q * math.log(q) for q in p if q)  # noqa: E731
    rows = [(4.0, (0.75, 0.25)), (0.4, (0.75, 0.25)), (2.0, (0.5, 0.5))]
    disentanglement = sum(w * (1 - entropy(*p) / math.log(2)) for w, p in rows) / 6.4
    columns = [(4.3, (3 / 4.3, 0.3 / 4.3, 1 / 4.3)), (2.1, (1 / 2.1, 0.1 / 2.1, 1 / 2.1))]
    completeness = sum(w * (1 - entropy(*p) / math.log(3)) for w, p in columns) / 6.4
    assert found["disentanglement"] == pytest.approx(disentanglement)
    assert found["completeness"] == pytest.approx(completeness)


def test_dead_directions_are_failures() -> None:
    whole = planted((2 * torch.eye(4)).tolist())
    half = planted((2 * torch.eye(4)).tolist()[:2] + [[0.0] * 4] * 2, [1, 1, 0, 0])
    assert all(half[name] <= 0.5 + 1e-9 < whole[name] for name in whole)
    nothing = planted([[0.0] * 4] * 4, [0.0] * 4)
    assert all(value == 0 for value in nothing.values())


def test_dead_directions_raise_nothing(rng: np.random.Generator) -> None:
    """Uniform effects have no concentration, however many dead stand beside them; other effects lose by the dead."""
    flat, dead = [[1.0] * 4] * 3, [[0.0] * 4] * 9
    assert planted(flat + dead, [1.0] * 3 + [0.0] * 9)["completeness"] == pytest.approx(0, abs=1e-9)
    for _ in range(20):
        table = rng.gamma(0.5, size=(5, 4)).tolist()
        whole, diluted = planted(table), planted([*table, [0.0] * 4], [1.0] * 5 + [0.0])
        assert all(diluted[name] <= whole[name] + 1e-9 for name in whole)
        assert diluted["completeness"] == pytest.approx(5 / 6 * whole["completeness"])


def test_rows_and_columns_may_be_permuted(rng: np.random.Generator) -> None:
    table = torch.from_numpy(rng.gamma(0.5, size=(6, 5)))
    other = table[torch.from_numpy(rng.permutation(6))][:, torch.from_numpy(rng.permutation(5))]
    assert planted(table.tolist()) == pytest.approx(planted(other.tolist()))


def test_differences_of_each_kind() -> None:
    assert difference(LINEAR, torch.tensor([1.0]), torch.tensor([-2.0])).tolist() == [3]
    assert difference(TURN, torch.tensor([0.9, 0.2]), torch.tensor([0.1, 0.7])).tolist() == pytest.approx([0.2, 0.5])
    assert turned(torch.tensor([0.9, 0.1]), torch.tensor([0.1, 0.9])).tolist() == pytest.approx([0.2, -0.2])
    a, b = torch.tensor([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]]), torch.tensor([[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]])
    assert difference(CLASS, a, b).tolist() == pytest.approx([0.6, 1.0])


def test_spread_is_the_standard_deviation_where_there_is_one(rng: np.random.Generator) -> None:
    values = torch.from_numpy(rng.normal(5, 3, 20_000))
    seen = torch.ones(20_000, dtype=torch.bool)
    assert spread(LINEAR, values, seen) == pytest.approx(3, rel=0.03)
    turns = torch.from_numpy(rng.random(20_000))
    assert spread(TURN, turns, seen) == pytest.approx(math.sqrt(1 / 12 / 2), rel=0.03)  # E d² = 1/12 on the circle
    one_hot = torch.eye(4)[torch.from_numpy(rng.integers(0, 4, 20_000))]
    assert spread(CLASS, one_hot, seen) == pytest.approx(math.sqrt(0.75 / 2), rel=0.03)  # two of four classes differ
    values[::2] = 1e6
    seen[::2] = False
    assert spread(LINEAR, values, seen) == pytest.approx(3, rel=0.05)


def test_hidden_factors_hide_what_needs_them() -> None:
    presence, texture = Factor("presence"), Factor("texture", visible_with=("presence", 0.3))
    phase = Factor("phase", "circular", ("texture", 0.2))
    readings = {
        "presence": torch.tensor([0.9, 0.9, 0.1]),
        "texture": torch.tensor([0.5, 0.1, 0.5]),
        "phase": torch.zeros(3),
    }
    factors = (presence, texture, phase)
    assert visible(presence, readings, factors).tolist() == [True] * 3
    assert visible(texture, readings, factors).tolist() == [True, True, False]
    assert visible(phase, readings, factors).tolist() == [True, False, False]


def edits(before: dict[str, Tensor], after: dict[str, Tensor], alive: Tensor) -> Edits:
    n = len(next(iter(before.values())))
    empty = torch.empty(0)
    base, edited = (Readings(part, empty) for part in (before, after))
    return Edits(0.3, Codes(torch.zeros(n, 1), "z"), torch.ones_like(alive, dtype=torch.float32), alive, base, edited)


def test_effects_are_mean_changes_in_spreads() -> None:
    n = 20
    before = {"size": torch.zeros(n), "hue": torch.full((n,), 0.95)}
    size = torch.stack([torch.full((n,), 3.0), torch.full((n,), -1.0)])[None].repeat(2, 1, 1)
    hue = torch.full((2, 2, n), 0.05)
    alive = torch.tensor([[True, True], [True, False]])
    found = effects(
        edits(before, {"size": size, "hue": hue}, alive), (LINEAR, TURN), (LINEAR, TURN), {"size": 2, "hue": 0.2}
    )
    torch.testing.assert_close(found.table, torch.tensor([[1.0, 0.5], [0.75, 0.25]]))
    assert found.alive.tolist() == [1, 0.5]


def test_effects_look_only_where_a_factor_is_visible_in_both() -> None:
    n = 30
    hue = Factor("hue", "circular", ("presence", 0.3))
    presence = Factor("presence")
    before = {"presence": torch.ones(n), "hue": torch.zeros(n)}
    after_presence = torch.ones(2, 2, n)
    after_presence[0, :, 10:] = 0  # the first direction hides two thirds
    after_presence[1, :, 2:] = 0  # the second all but two: too few to say anything
    after_hue = torch.full((2, 2, n), 0.1)
    after_hue[0, :, 10:] = 0.5
    after_hue[1] = 0.5
    both = torch.ones(2, 2, dtype=torch.bool)
    found = effects(
        edits(before, {"presence": after_presence, "hue": after_hue}, both), (hue, presence), (hue,), {"hue": 1.0}
    )
    assert found.table[:, 0].tolist() == pytest.approx([0.1, 0.0])


def test_few_codes_say_nothing_of_order() -> None:
    """Where a factor is visible in fewer codes than an effect needs, one code would decide: +-1 by chance."""
    presence, hue = Factor("presence"), Factor("hue", visible_with=("presence", 0.3))
    shown = torch.tensor([1.0] * 7 + [0.0] * 23)
    after = {"presence": torch.ones(1, 2, 30), "hue": torch.stack([torch.ones(30), -torch.ones(30)])[None]}
    both = torch.ones(1, 2, dtype=torch.bool)
    few = edits({"presence": shown, "hue": torch.zeros(30)}, after, both)
    assert monotonicity(few, (presence, hue), [hue]).tolist() == [0]
    enough = edits({"presence": torch.ones(30), "hue": torch.zeros(30)}, after, both)
    assert monotonicity(enough, (presence, hue), [hue]).tolist() == [1]


@pytest.mark.parametrize("factor", [LINEAR, TURN, CLASS])
def test_monotone_is_one_and_noise_is_zero(factor: Factor, rng: np.random.Generator) -> None:
    n = 2000
    steps = torch.tensor([0.1, -0.1])[:, None] * torch.ones(n)
    noise = torch.from_numpy(rng.uniform(-0.1, 0.1, (2, n))).float()
    up_up = torch.full((2, n), 0.1)
    base = torch.from_numpy(rng.uniform(0.2, 0.8, n)).float()
    after = base + torch.stack([steps, -steps, noise, up_up])
    values = {factor.name: base}, {factor.name: after % 1 if factor is TURN else after}
    if factor is CLASS:
        values = tuple({"shape": torch.stack([v["shape"], 1 - v["shape"]], -1)} for v in values)
    alive = torch.ones(4, 2, dtype=torch.bool)
    found = monotonicity(edits(*values, alive), (factor,), [factor] * 4)
    assert found.tolist() == pytest.approx([1, 1, 0, 0], abs=0.1)
    one_sided = monotonicity(edits(*values, alive & torch.tensor([True, False])), (factor,), [factor] * 4)
    assert one_sided[0] == 0.5


NUMBERS = {"spread:size": 1.0, "data:size": 2.0, "agreement:size": 0.9, "label:size": 0.0, "steered:size": 1.0}


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({}, None),
        ({"agreement:size": 0.79}, "agreement"),
        ({"spread:size": 0.5}, "spread"),
        ({"label:size": 0.6}, "label"),
        ({"steered:size": 0.4}, "steering"),
    ],
)
def test_each_gate_closes(change: dict[str, float], gate: str | None) -> None:
    assert reasons((LINEAR,), {"size": True}, NUMBERS | change).get("size") == gate
    assert reasons((LINEAR,), {"size": False}, NUMBERS) == {"size": "oracle"}


def test_agreement_is_r_squared(rng: np.random.Generator) -> None:
    truth = torch.from_numpy(rng.normal(size=5000))
    other = truth + torch.from_numpy(rng.normal(size=5000)) * 0.4
    sample = Sample(Codes(torch.zeros(5000, 1), "z"), {"size": other}, {"size": truth})
    assert agreement(LINEAR, sample, (LINEAR,), float(truth.std())) == pytest.approx(1 - 0.16, abs=0.02)
    assert agreement(LINEAR, sample, (LINEAR,), 0.0) == -1


def test_a_label_that_sets_a_factor_is_found(rng: np.random.Generator) -> None:
    label = torch.from_numpy(rng.integers(0, 5, 3000))
    noise = torch.from_numpy(rng.normal(size=3000))
    codes = Codes(torch.zeros(3000, 1), "z", label)
    for weight, share in ((3.0, None), (0.0, 0.0)):
        values = {"size": weight * label + noise}
        expected = float((weight * label.double()).var() / values["size"].var()) if share is None else share
        found = explained(LINEAR, Sample(codes, values, values), torch.ones(3000, dtype=torch.bool))
        assert found == pytest.approx(expected, abs=0.05)
    assert explained(LINEAR, Sample(replace(codes, labels=None), values, values), torch.ones(3000).bool()) == 0


def test_supervised_direction_is_the_covariance_with_the_code(rng: np.random.Generator) -> None:
    mixing = torch.from_numpy(rng.normal(size=(6, 6)))
    latents = torch.from_numpy(rng.normal(size=(50_000, 6))) @ mixing.T
    slope = torch.from_numpy(rng.normal(size=6))
    sample = Sample(Codes(latents, "w"), {"size": latents @ slope}, {})
    expected = mixing @ mixing.T @ slope
    found = steering(LINEAR, sample.codes.latents, sample.a, (LINEAR,))[0].double()
    assert float(torch.nn.functional.cosine_similarity(found, expected, dim=0)) > 0.999


def test_supervised_directions_of_the_toy_are_the_planted_ones() -> None:
    sample = factor_gates._sample(subject(PLANTED[:1]), DOMAIN, 3000)
    for row, factor in zip(PLANTED, DOMAIN.factors, strict=True):
        found = torch.nn.functional.normalize(steering(factor, sample.codes.latents, sample.a, DOMAIN.factors), dim=1)
        assert float((found @ row).abs().max()) > 0.95


def test_planted_directions_reach_the_ceiling_and_random_ones_do_not() -> None:
    ceiling = measure(subject(PLANTED), QUICK, context(8))
    assert ceiling.values["counted"] == len(DOMAIN.factors)
    for name in ("disentanglement", "completeness", "monotonicity"):
        assert ceiling.values[name] > 0.95
    assert ceiling.directions["leading"] == list(range(8))
    floor = measure(subject(random_directions(8)), QUICK, context(8))
    assert floor.values["disentanglement"] < 0.5


def test_shuffled_truth_gives_about_zero(rng: np.random.Generator) -> None:
    found = subject(PLANTED).edits()
    shuffled = {
        name: values[..., torch.from_numpy(rng.permutation(values.shape[-1]))]
        for name, values in found.edited.factors.items()
    }
    broken = replace(found, edited=replace(found.edited, factors=shuffled))
    sigma = {f.name: spread(f, found.base.factors[f.name], torch.ones(32).bool()) for f in DOMAIN.factors}
    values = scores(effects(broken, DOMAIN.factors, DOMAIN.factors, sigma))
    assert values["disentanglement"] < 0.2


def test_order_sign_and_length_change_nothing() -> None:
    order = torch.tensor([3, 0, 7, 1, 2, 6, 4, 5])
    other = (PLANTED * torch.linspace(-2, 2, 8)[:, None])[order]
    one, two = (measure(subject(v), QUICK, context(8)) for v in (PLANTED, paths(other)))
    assert one.values == pytest.approx(two.values, abs=1e-3)
    assert two.directions["leading"] == order.tolist()


def test_dead_directions_of_the_toy_fail() -> None:
    vectors = torch.cat([PLANTED[:2], torch.zeros(2, 64)])
    found = measure(subject(vectors), QUICK, context(4))
    assert found.values["disentanglement"] == pytest.approx(0.5, abs=0.03)
    assert found.directions["leading"][2:] == [-1, -1]
    nothing = measure(subject(torch.zeros(2, 64)), QUICK, context(2))
    assert {v for k, v in nothing.values.items() if k != "counted"} == {0.0}


def test_gates_are_measured_once_for_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    original = factor_gates.measured
    monkeypatch.setattr(factor_gates, "measured", lambda *args: built.append(1) or original(*args))
    for _ in range(2):
        again = replace(subject(PLANTED[:2]), cache=tmp_path, fingerprint="ab" * 32, _kept={})
        measure(again, QUICK, context(2))
    assert len(built) == 1


def test_without_a_factor_that_counts_the_scores_are_void(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_gates, "STEERED", math.inf)
    values = measure(subject(PLANTED[:2]), QUICK, context(2)).values
    assert isinstance(values["completeness"], Void)
    assert "level (steering)" in values["completeness"].reason
    assert values["counted"] == 0


def test_a_void_factor_leaves_every_denominator(monkeypatch: pytest.MonkeyPatch) -> None:
    original = factor_gates.measured
    monkeypatch.setattr(factor_gates, "measured", lambda *args: original(*args) | {"steered:hue": 0.1})
    found = measure(subject(PLANTED), QUICK, context(8))
    assert found.values["counted"] == 7
    assert found.values["completeness"] > 0.9
    assert all(math.isnan(value) for value in found.directions["void:hue:steering"])
    assert "R:hue" not in found.directions
