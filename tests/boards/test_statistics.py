"""Intervals against exact enumeration and theory; ranks against their definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from gdbench.boards.statistics import friedman, holm, holm_wilcoxon, interval, paired_interval, ranks


@pytest.mark.parametrize("values", [[0.1, 0.5, 0.9], [3.0, 1.0, 4.0, 1.5]])
def test_interval_is_that_of_all_resamples(values):
    """Every resample counted once; the drawn quantiles lie within those of neighbouring levels."""
    means = np.repeat([np.mean(drawn) for drawn in itertools.product(values, repeat=len(values))], 100)
    got = interval(values)
    assert got.mean == pytest.approx(np.mean(values))
    assert np.quantile(means, 0.02) - 1e-9 <= got.low <= np.quantile(means, 0.03) + 1e-9
    assert np.quantile(means, 0.97) - 1e-9 <= got.high <= np.quantile(means, 0.98) + 1e-9


def test_interval_of_many_values_is_that_of_the_normal_law():
    values = np.random.default_rng(1).standard_normal(400)
    got = interval(values)
    half = 1.96 * values.std() / 20
    assert got.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert got.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_seeds_and_units_of_their_own_hold_both_variances():
    """Variance between means of seeds, between means of units, and of what is left (Owen 2007, theorem 1)."""
    rng = np.random.default_rng(2)
    values = rng.standard_normal((200, 1)) + 3 * rng.standard_normal((200, 16))
    got = interval(values)
    rows, columns = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    left = (values - rows - columns + values.mean()).var()
    expected = np.sqrt(rows.var() / 200 + columns.var() / 16 + left / (200 * 16))
    assert (got.high - got.low) / (2 * 1.96) == pytest.approx(expected, rel=0.05)


def test_units_that_all_seeds_share_count_once():
    """The images of a test set: 20 seeds that see the same 16 are no 320 images."""
    units = np.random.default_rng(5).standard_normal(16)
    got, alone = interval(np.tile(units, (20, 1))), interval(units)
    assert (got.low, got.high) == pytest.approx((alone.low, alone.high), rel=0.05)


def test_pairing_removes_what_seeds_share():
    seeds = np.array([0.0, 10.0, 20.0])
    got = paired_interval(seeds + 1, seeds)
    assert (got.mean, got.low, got.high) == pytest.approx((1, 1, 1))
    with pytest.raises(ValueError, match="equal shapes"):
        paired_interval([1.0], [1.0, 2.0])


def test_one_value_has_no_interval_and_nothing_else_has_none():
    assert interval([2.0]) == (2.0, None, None)
    for bad in ([], [1.0, np.nan], [np.inf]):
        with pytest.raises(ValueError, match="finite"):
            interval(bad)


def seeds(*values):
    return dict(enumerate(values))


def test_ranks_by_hand():
    scores = {"best": seeds(9, 9.5, 9), "good": seeds(5, 6, 5), "like": seeds(6, 5, 5), "last": seeds(1, 1, 2)}
    assert ranks(scores, "higher", set(scores)) == {"best": 1, "good": 2, "like": 2, "last": 4}
    assert ranks(scores, "lower", set(scores)) == {"best": 4, "good": 2, "like": 2, "last": 1}


def test_one_seed_decides_nothing():
    assert ranks({"a": {0: 9.0}, "b": {0: 1.0}}, "higher", {"a", "b"}) == {"a": 1, "b": 1}
    assert ranks({"a": {0: 9.0, 1: 9.0}, "b": {2: 1.0, 3: 1.0}}, "higher", {"a", "b"}) == {"a": 1, "b": 1}


def test_an_unranked_method_still_stands_above_those_it_beats():
    assert ranks({"a": seeds(9, 9), "b": seeds(1, 1, 1)}, "higher", {"b"}) == {"b": 2}


def test_a_rival_that_loses_seeds_stands_where_it_stood():
    """Its interval widens over zero with fewer seeds; what is left of it is still better."""
    scores = {"rival": seeds(5, 5, 5, 5, -1), "b": seeds(0, 0, 0, 0, 0)}
    assert ranks(scores, "higher", {"b"}) == {"b": 2}
    assert ranks({**scores, "rival": {0: 5, 4: -1}}, "higher", {"b"}) == {"b": 2}


def test_seeds_that_were_never_asked_for_are_no_failures():
    """Methods of different seeds: one number in common decides nothing, two seeds have an interval."""
    scores = {"one": {0: 0.51}, "three": {0: 0.50, 1: 0.9, 2: 0.9}}
    assert ranks(scores, "higher", set(scores)) == {"one": 1, "three": 1}
    assert ranks(scores, "higher", {"three"}) == {"three": 2}  # "one" lost the others
    scores = {"two": seeds(0.6, 0.4), "three": seeds(0.5, 0.3, 0.9), "wide": seeds(0.4, 0.45, 0.9)}
    assert ranks(scores, "higher", set(scores)) == {"two": 1, "three": 2, "wide": 1}


SEEDS = st.sets(st.integers(0, 2), min_size=1)
SCORES = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda v: seeds(*v)), min_size=2
)
SCORES_OF_SOME_SEEDS = st.dictionaries(
    st.sampled_from("abcd"), SEEDS.flatmap(lambda s: st.fixed_dictionaries({seed: st.floats(0, 1) for seed in s}))
)


@settings(deadline=None, max_examples=200)
@given(SCORES | SCORES_OF_SOME_SEEDS, st.sampled_from("abcd"), SEEDS)
def test_the_failures_of_one_method_improve_no_rank(scores, name, failed):
    """Of three seeds; a rank is compared where the failed method keeps a seed that both had."""
    if name in scores:
        left = {seed: value for seed, value in scores[name].items() if seed not in failed}
        others = {other for other in scores if other != name and scores[other].keys() & left.keys()}
        before = ranks(scores, "higher", set(scores))
        complete = set(scores) if left == scores[name] else set(scores) - {name}
        after = ranks({**scores, name: left}, "higher", complete)
        assert all(after[other] >= before[other] for other in others)


@settings(deadline=None, max_examples=100)
@given(SCORES_OF_SOME_SEEDS)
def test_who_has_one_seed_in_common_with_a_complete_method_is_not_beaten_by_it(scores):
    got = ranks(scores, "higher", set(scores))
    for name, values in scores.items():
        assert got[name] <= 1 + sum(
            len(values.keys() & other.keys()) > 1 for key, other in scores.items() if key != name
        )


@settings(deadline=None, max_examples=30)
@given(SCORES)
def test_lower_is_better_is_higher_of_the_negative(scores):
    negative = {name: {seed: -value for seed, value in values.items()} for name, values in scores.items()}
    assert ranks(scores, "lower", set(scores)) == ranks(negative, "higher", set(scores))


@settings(deadline=None, max_examples=30)
@given(SCORES, st.sampled_from("abcd"))
def test_a_better_score_never_worsens_the_own_rank(scores, name):
    if name in scores:
        better = {**scores, name: {seed: value + 0.5 for seed, value in scores[name].items()}}
        assert ranks(better, "higher", scores)[name] <= ranks(scores, "higher", scores)[name]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_an_interval_holds_its_mean(values):
    got = interval(values)
    assert min(values) - 1e-9 <= got.low <= got.mean + 1e-9
    assert got.mean - 1e-9 <= got.high <= max(values) + 1e-9


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=6))
def test_a_paired_interval_changes_sign_with_its_order(pairs):
    a, b = zip(*pairs, strict=True)
    there, back = paired_interval(a, b), paired_interval(b, a)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(SCORES, st.randoms())
def test_the_order_of_methods_changes_no_rank(scores, shuffle):
    names = list(scores)
    shuffle.shuffle(names)
    assert ranks({name: scores[name] for name in names}, "higher", set(names)) == ranks(scores, "higher", set(names))


def test_holm_by_hand():
    """.01 * 4, .02 * 3, .03 * 2 (not below the one before), .04 * 1 (the same)."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_signed_ranks_of_six_generators_by_enumeration():
    """All six differences of one sign: 2 of 2^6 sign patterns are as extreme; of five at best 2 of 2^5, above .05."""
    table = np.array([[1.0, 0.0]] * 6) * np.arange(1, 7)[:, None]
    assert holm_wilcoxon(table)[0, 1] == pytest.approx(2 / 64)
    assert holm_wilcoxon(table[:5])[0, 1] == pytest.approx(2 / 32)
    three = np.concatenate([table, table[:, :1] / 2], 1)
    assert holm_wilcoxon(three) == pytest.approx(np.where(np.eye(3) == 1, 1, 3 * 2 / 64))


def test_equal_methods_differ_nowhere():
    same = np.ones((6, 3))
    assert friedman(same) == 1
    assert (holm_wilcoxon(same) == 1).all()
    partly = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    assert holm_wilcoxon(partly)[0, 1] == pytest.approx(1, abs=0.05)


def test_friedman_by_its_formula():
    """12 / (n k (k + 1)) * sum of squared rank sums - 3 n (k + 1), chi-squared with k - 1 degrees of freedom."""
    table = np.random.default_rng(3).random((7, 4))
    sums = (table.argsort(1).argsort(1) + 1).sum(0)
    statistic = 12 / (7 * 4 * 5) * (sums**2).sum() - 3 * 7 * 5
    assert friedman(table) == pytest.approx(chi2.sf(statistic, 3))
