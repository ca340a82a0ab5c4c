"""Statistics against scipy, closed forms and simulated coverage; ranks against their definition."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gdbench.boards.statistics import (
    Sample,
    Spread,
    against,
    critical_difference,
    difference,
    friedman,
    gap,
    holm,
    holm_wilcoxon,
    interval,
    mean_of,
    mean_ranks,
    paired,
    pooled,
    ranks,
    runs_within,
)


def sample(values, spread=None):
    return Sample(mean_of(values), len(values), spread or pooled([values]))


def board(groups):
    """Samples of one pool."""
    spread = pooled(groups.values())
    return {name: Sample(mean_of(values), len(values), spread) for name, values in groups.items() if values}


DRAWN = [np.random.default_rng(n).normal(n, 1 + n, 3 + n).tolist() for n in range(3)]


def test_an_interval_of_its_own_spread_is_students():
    values = DRAWN[0]
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert interval(sample(values)) == pytest.approx((np.mean(values), low, high))


def test_the_pooled_variance_is_that_within_groups():
    """Mean square within of a one-way analysis of variance, recovered from scipy's F."""
    spread = pooled([*DRAWN, [5.0], []])
    sizes = np.array([len(values) for values in DRAWN])
    means = np.array([np.mean(values) for values in DRAWN])
    between = (sizes * (means - np.concatenate(DRAWN).mean()) ** 2).sum() / (len(DRAWN) - 1)
    assert spread.variance == pytest.approx(between / stats.f_oneway(*DRAWN).statistic)
    assert spread.df == sizes.sum() - len(DRAWN)
    assert pooled([[1.0], [2.0], []]) is None


def test_two_methods_of_one_pool_are_compared_by_students_t():
    a, b = DRAWN[0], DRAWN[1]
    spread = pooled([a, b])
    found = difference(sample(a, spread), sample(b, spread))
    reference = stats.ttest_ind(a, b, equal_var=True)
    low, high = reference.confidence_interval(0.95)
    assert found == pytest.approx((np.mean(a) - np.mean(b), low, high, reference.pvalue))


def test_two_methods_of_two_spreads_are_compared_by_welchs_t():
    a, b = DRAWN[0], DRAWN[2]
    found = difference(sample(a), sample(b))
    reference = stats.ttest_ind(a, b, equal_var=False)
    low, high = reference.confidence_interval(0.95)
    assert found == pytest.approx((np.mean(a) - np.mean(b), low, high, reference.pvalue))


def test_pairs_are_compared_by_the_t_of_their_differences():
    a, b = [0.3, 0.5, 0.2, 0.9], [0.2, 0.3, 0.25, 0.6]
    found = paired(a, b)
    reference = stats.ttest_rel(a, b)
    low, high = reference.confidence_interval(0.95)
    assert found == pytest.approx((np.mean(a) - np.mean(b), low, high, reference.pvalue))
    shared = paired([10.0, 20.0, 30.0], [9.0, 19.0, 29.0])
    assert shared == pytest.approx((1, 1, 1, 0))
    assert paired([1.0], [2.0]) is None
    with pytest.raises(ValueError, match="equal numbers"):
        paired([1.0], [1.0, 2.0])


def simulated(rng, methods, sigma, boards=1500, n=3):
    """(covered, separated): how often intervals hold the true mean, and how often two equal methods are taken apart."""
    covered = apart = 0
    for _ in range(boards):
        groups = {str(m): rng.normal(0, sigma[m], n).tolist() for m in range(methods)}
        found = board(groups)
        low, high = interval(found["0"])[1:]
        covered += low <= 0 <= high
        both = difference(found["0"], found["1"])
        apart += not both.low <= 0 <= both.high
    return covered / boards, apart / boards


def test_intervals_cover_and_equal_methods_are_seldom_taken_apart():
    """Three seeds, eight methods, 1,500 boards: .95 and .05 within three standard errors (.017)."""
    covered, apart = simulated(np.random.default_rng(0), 8, [1.0] * 8)
    assert covered == pytest.approx(0.95, abs=0.017)
    assert apart == pytest.approx(0.05, abs=0.017)


def test_methods_of_different_variance_move_coverage_as_the_pool_says():
    """Standard deviations of 1 to 3 in one pool: the steadier half is covered more often, the wilder one less."""
    spreads = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    steady, _ = simulated(np.random.default_rng(1), 8, spreads, 800)
    wild, _ = simulated(np.random.default_rng(1), 8, spreads[::-1], 800)
    assert steady > 0.97
    assert 0.7 < wild < 0.95


def test_a_method_that_equals_the_baseline_is_seldom_called_above():
    """Family-wise: eight methods, three seeds, a baseline of ten; some is marked in at most .05 of boards."""
    rng, wrong, boards = np.random.default_rng(2), 0, 800
    for _ in range(boards):
        groups = {str(m): rng.normal(0, 1, 3).tolist() for m in range(8)} | {"base": rng.normal(0, 1, 10).tolist()}
        found = board(groups)
        base = found.pop("base")
        wrong += any(one.mark != "not separable" for one in against(found, base, "higher").values())
    assert wrong / boards < 0.05 + 0.024


def test_the_baseline_is_found_different_where_it_is():
    found = board({"up": [2.0, 2.1, 2.2], "down": [0.0, 0.1, 0.2], "same": [1.0, 1.1, 1.2], "base": [1.05, 1.15, 1.1]})
    base = found.pop("base")
    assert {name: one.mark for name, one in against(found, base, "higher").items()} == {
        "up": "above",
        "down": "below",
        "same": "not separable",
    }
    lower = against(found, base, "lower")
    assert (lower["up"].mark, lower["down"].mark) == ("below", "above")
    raw = [difference(one, base).p for one in found.values()]
    assert [one.p for one in against(found, base, "higher").values()] == pytest.approx(holm(raw))
    more = against(found, base, "higher", tests=5)
    assert [one.p for one in more.values()] == pytest.approx(holm([*raw, 1.0, 1.0])[:3])
    assert against(found, base, "higher", least=1.05)["up"].mark == "not separable"


def test_an_interval_ends_where_its_column_ends():
    spread = Spread(1.0, 4)
    assert interval(Sample(0.1, 3, spread), (0, 1))[1:] == (0, 1)
    low, high = interval(Sample(5.0, 3, spread), (0, None))[1:]
    assert 0 < low < high
    assert interval(Sample(-0.2, 3, spread), (0, 1)) == (-0.2, -0.2, 1)  # a number outside its range is shown as it is


def test_nothing_known_is_nothing_said():
    assert interval(Sample(2.0, 1, None)) == (2.0, None, None)
    assert difference(Sample(2.0, 1, None), Sample(1.0, 3, Spread(1.0, 2))) is None
    for bad in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ValueError, match="finite"):
            mean_of(bad)
    with pytest.raises(ValueError, match="finite"):
        pooled([[1.0, math.nan]])


def test_what_only_rounding_tells_apart_is_equal():
    thirds = [0.1, 0.2, 0.3]
    for order in itertools.permutations(thirds):
        assert mean_of(list(order)) == mean_of(thirds)
    assert gap(0.1 + 0.2, 0.3) == 0
    assert gap(0.3001, 0.3) > 0
    assert ranks(board({"a": [0.1 + 0.2] * 3, "b": [0.3] * 3}), "higher", {"a", "b"}) == {"a": 1, "b": 1}


# Ranks


def test_ranks_by_hand():
    found = board({"best": [9, 9.5, 9], "good": [5, 6, 5], "like": [6, 5, 5], "last": [1, 1, 2]})
    assert ranks(found, "higher", set(found)) == {"best": 1, "good": 2, "like": 2, "last": 4}
    assert ranks(found, "lower", set(found)) == {"best": 4, "good": 2, "like": 2, "last": 1}


def test_a_difference_that_does_not_count_is_a_tie():
    found = board({"a": [0.50, 0.50, 0.51], "b": [0.52, 0.52, 0.53], "c": [0.60, 0.60, 0.61]})
    assert ranks(found, "higher", set(found)) == {"c": 1, "b": 2, "a": 3}
    assert ranks(found, "higher", set(found), least=0.03) == {"c": 1, "b": 2, "a": 2}


def test_an_incomplete_method_stands_above_those_of_lower_mean_and_has_no_rank():
    found = board({"rival": [5.0, -1.0], "b": [0.0, 0.1, 0.2, 0.1]})
    assert ranks(found, "higher", {"b"}) == {"b": 2}
    assert ranks(found, "higher", {"b"}, least=3) == {"b": 1}
    assert ranks(board({"rival": [-5.0, 1.0], "b": [0.0, 0.1]}), "higher", {"b"}) == {"b": 1}


def test_unknown_variance_ranks_nobody():
    assert ranks(board({"a": [9.0], "b": [1.0]}), "higher", {"a", "b"}) == {}


SCORES = st.dictionaries(st.sampled_from("abcd"), st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=2)


@settings(deadline=None, max_examples=60)
@given(SCORES, st.sets(st.sampled_from("abcd")))
def test_becoming_incomplete_improves_nobodys_rank(groups, incomplete):
    found = board(groups)
    before = ranks(found, "higher", set(found))
    after = ranks(found, "higher", set(found) - incomplete)
    assert set(after) == set(before) - incomplete
    assert all(after[name] >= before[name] for name in after)


@settings(deadline=None, max_examples=60)
@given(SCORES)
def test_lower_is_better_is_higher_of_the_negative(groups):
    negative = {name: [-value for value in values] for name, values in groups.items()}
    assert ranks(board(groups), "lower", set(groups)) == ranks(board(negative), "higher", set(groups))


@settings(deadline=None, max_examples=60)
@given(SCORES, st.randoms())
def test_the_order_of_methods_and_of_seeds_changes_no_rank(groups, shuffle):
    names = list(groups)
    shuffle.shuffle(names)
    shuffled = {name: shuffle.sample(groups[name], len(groups[name])) for name in names}
    assert ranks(board(shuffled), "higher", set(names)) == ranks(board(groups), "higher", set(names))


@settings(deadline=None, max_examples=60)
@given(SCORES, st.floats(0, 1))
def test_a_greater_least_difference_makes_ranks_no_worse(groups, least):
    found = board(groups)
    without, with_least = ranks(found, "higher", set(found)), ranks(found, "higher", set(found), least)
    assert all(with_least[name] <= rank for name, rank in without.items())


# Across generators


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
    assert friedman(table) == pytest.approx(stats.chi2.sf(statistic, 3))


DEMSAR = (
    (0.763, 0.768, 0.771, 0.798),
    (0.599, 0.591, 0.590, 0.569),
    (0.954, 0.971, 0.968, 0.967),
    (0.628, 0.661, 0.654, 0.657),
    (0.882, 0.888, 0.886, 0.898),
    (0.936, 0.931, 0.916, 0.931),
    (0.661, 0.668, 0.609, 0.685),
    (0.583, 0.583, 0.563, 0.625),
    (0.775, 0.838, 0.866, 0.875),
    (1.000, 1.000, 1.000, 1.000),
    (0.940, 0.962, 0.965, 0.962),
    (0.619, 0.666, 0.614, 0.669),
    (0.972, 0.981, 0.9751, 0.975),
    (0.957, 0.978, 0.946, 0.970),
)
"""AUC of four variants of C4.5 on 14 data sets: table 6 of Demšar, JMLR 7 (2006). Its last but one row prints .975
twice, under the ranks 2 and 3."""


def test_mean_ranks_and_the_critical_difference_of_a_published_example():
    """Demšar 2006: mean ranks in table 6; section 3.2.4: CD = 2.569 * sqrt(4 * 5 / (6 * 14)) = 1.25."""
    assert mean_ranks(DEMSAR, "higher") == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert mean_ranks(-np.array(DEMSAR), "lower") == mean_ranks(DEMSAR, "higher")
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_values_are_the_published_ones_and_those_of_the_integral(methods, q):
    """Table 5 (a) of Demšar 2006; and P(range of k normals <= r) = k int phi(z) (Phi(z) - Phi(z - r))^(k - 1) dz."""
    generators = 6
    reach = critical_difference(methods, generators)
    found = reach / np.sqrt(methods * (methods + 1) / (6 * generators))
    assert found == pytest.approx(q, abs=1e-3)
    z = np.linspace(-9, 9, 20_001)
    inner = (stats.norm.cdf(z) - stats.norm.cdf(z - found * np.sqrt(2))) ** (methods - 1)
    assert np.trapezoid(methods * stats.norm.pdf(z) * inner, z) == pytest.approx(0.95, abs=1e-6)


def test_stretches_within_reach_are_the_longest_ones():
    assert runs_within([1.0, 1.5, 2.2, 4.0, 4.4], 1.0) == [(0, 1), (1, 2), (3, 4)]
    assert runs_within([1.0, 2.0, 3.0], 1.0) == []  # apart by the reach itself: they differ
    assert runs_within([1.0, 2.0, 3.0], 9.0) == [(0, 2)]
    assert runs_within([2.0, 2.0], 0.5) == [(0, 1)]
    assert runs_within([], 1.0) == []
