"""Two runs or methods side by side: what is paired, by what, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gdbench import UsageError
from gdbench.boards.compare import Kept, Side, compare
from gdbench.record import EVALUATION, Score
from tests.boards.test_leaderboard import COLUMNS, VERSIONS, record, three


def side(name, runs, best=()):
    factors = dict(best) or {}
    return Side(name, {run.cell.seed: Kept(run, factors.get(run.cell.seed, {})) for run in runs})


def found(a, b, metric="rec", name="kappa"):
    made = compare(a, b, COLUMNS)
    return next(one for one in made.columns if (one.metric, one.name) == (metric, name))


A, B = [0.80, 0.82, 0.81], [0.50, 0.55, 0.50]


def test_methods_are_paired_by_seed():
    one = found(side("a", three("a", A)), side("b", three("b", B)))
    low, high = stats.ttest_rel(A, B).confidence_interval(0.95)
    assert (one.a, one.b, one.n, one.over, one.better) == (
        pytest.approx(0.81),
        pytest.approx(np.mean(B)),
        3,
        "seeds",
        "a",
    )
    assert (one.difference, one.low, one.high) == pytest.approx((np.mean(A) - np.mean(B), low, high))
    assert found(side("b", three("b", B)), side("a", three("a", A))).better == "b"


def test_lower_is_better_and_neither_speaks_for_nobody():
    x = side("x", [record("x", seed, leak=0.1 + seed / 1000) for seed in range(3)])
    y = side("y", [record("y", seed, leak=0.9) for seed in range(3)])
    assert found(x, y, name="leak").better == "a"
    assert found(x, y, "cost", "seconds").better == ""


def test_only_common_seeds_count():
    one = found(side("a", three("a", [*A, 0.1])), side("b", [*three("b", B), record("b", 7, 0.9)]))
    assert (one.n, one.a) == (3, pytest.approx(0.81))


def test_one_seed_is_compared_over_its_codes():
    """Blocks share what the codes share: the interval is that of their differences, about the difference itself."""
    rng = np.random.default_rng(0)
    shared, apart = rng.normal(0, 1, 16), rng.normal(0.1, 0.01, 16)
    runs = [
        replace(record(name), scores={"rec": {"kappa": Score(value, blocks=tuple(blocks))}})
        for name, value, blocks in (("a", 0.6, shared + apart), ("b", 0.5, shared))
    ]
    made = compare(side("a", runs[:1]), side("b", runs[1:]), COLUMNS)
    (one,) = [column for column in made.columns if column.name == "kappa"]
    half = stats.t.ppf(0.975, 15) * stats.sem(apart)
    assert one.over == "codes"
    assert (one.difference, one.low, one.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half))
    assert "one seed: intervals are over the codes" in made.notes[0]


def test_without_blocks_or_seeds_there_is_a_difference_and_no_interval():
    one = found(side("a", [record("a", 0, 0.9)]), side("b", [record("b", 0, 0.1)]))
    assert (one.difference, one.low, one.high, one.over, one.better) == (pytest.approx(0.8), None, None, "", "")
    other = compare(side("a", [record("a", 0)]), side("b", [record("b", 1)]), COLUMNS)
    assert other.columns[0].void == "no seed in common"
    assert "nothing is paired" in other.notes[0]


def test_what_failed_is_void_or_was_measured_otherwise_says_so():
    a = side("a", three("a", A))
    for runs, why in (
        ([record("b", 0, status="failed")], "failed: it broke"),
        ([record("b", 0, None)], "no number"),
        ([replace(record("b", 0), metric_params={"rec": {"pairs": 5}})], "other parameters"),
        ([replace(record("b", 0), versions={**VERSIONS, "metric:rec": 9})], "another version"),
    ):
        one = found(a, side("b", runs))
        assert (one.a, one.difference) == (None, None)
        assert why in one.void


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"generator": "x"}, "generator"),
        ({"checkpoint": "x"}, "checkpoint"),
        ({"space": "w"}, "space"),
        ({"generator_params": {"psi": 0.5}}, "params"),
        ({"checkpoint_sha256": "ab" * 32}, "weights"),
        ({"versions": {**VERSIONS, "evaluation": EVALUATION - 1}}, "version of evaluation"),
    ],
)
def test_what_did_not_see_the_same_codes_is_not_compared(other, what):
    with pytest.raises(UsageError, match=f"cannot be compared: {what}"):
        compare(side("a", three("a", A)), side("b", three("b", B, **other)), COLUMNS)


def test_another_k_or_tier_or_changed_code_is_said():
    made = compare(
        side("a", three("a", A)), side("b", three("b", B, k=8, tier="quick", environment={"changed": True})), COLUMNS
    )
    assert made.notes[:2] == ("K is 4 of a and 8 of b", "tier is standard of a and quick of b")
    assert made.notes[-1] == "b was made by changed code: nobody can make it again"


def test_factors_are_paired_too():
    best = {seed: {("rec", "hue"): 0.7 + seed / 100, ("rec", "only a"): 1.0} for seed in range(3)}
    worse = {seed: {("rec", "hue"): 0.2} for seed in range(3)}
    made = compare(side("a", three("a", A), best), side("b", three("b", B), worse), COLUMNS)
    (hue,) = made.factors
    low, high = stats.ttest_rel([0.70, 0.71, 0.72], [0.2] * 3).confidence_interval(0.95)
    assert (hue.name, hue.a, hue.b, hue.better) == ("hue", pytest.approx(0.71), pytest.approx(0.2), "a")
    assert (hue.low, hue.high) == pytest.approx((low, high))
