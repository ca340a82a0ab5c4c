"""Intervals against exact enumeration and theory; ranks against their definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbench.statistics import interval, paired_interval, ranks


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


def test_two_stages_hold_both_variances():
    """Seeds differ by s.d. 1 and units by 3: the variance of the mean is (1 + 9 / units) / seeds."""
    rng = np.random.default_rng(2)
    values = rng.standard_normal((200, 1)) + 3 * rng.standard_normal((200, 9))
    got = interval(values)
    between = values.mean(1).var() / 200
    within = values.var(1).mean() / 9 / 200
    assert (got.high - got.low) / (2 * 1.96) == pytest.approx(np.sqrt(between + within), rel=0.1)


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


SCORES = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda v: seeds(*v)), min_size=2
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
