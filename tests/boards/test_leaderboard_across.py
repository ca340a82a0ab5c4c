"""Ranks across generators: by hand, tests from six generators on; failures, order and controls bend nothing."""

import csv
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import friedmanchisquare

from gdbench.boards.acceptance import Verdicts
from gdbench.boards.exports import to_csv, to_json, to_markdown
from gdbench.boards.leaderboard import leaderboard
from gdbench.boards.rules import Rules
from gdbench.boards.statistics import MIN_GENERATORS
from tests.boards.test_leaderboard import COLUMNS, record

GANS = "pqrstuvw"
METHODS = "abc"
KEY = ("rec", "kappa", "standard", 4)


def runs(kappas, gans=None, **more):
    """kappas: method -> one kappa for each generator; two seeds, .005 apart."""
    return [
        record(method, seed, kappa + 0.005 * seed, generator=gan, **more)
        for method, values in kappas.items()
        for gan, kappa in zip(gans or GANS, values, strict=False)
        for seed in (0, 1)
    ]


def tables(records):
    made = leaderboard(records, COLUMNS, Rules(seeds=lambda cell: range(2)))
    return {(table.metric, table.column, table.tier, table.k): table for table in made.across}


def mean_ranks(records):
    return {(key, row.method): row.mean.mean for key, table in tables(records).items() for row in table.rows}


HAND = runs({"a": [0.9, 0.5, 0.9], "b": [0.5, 0.9, 0.5], "c": [0.1, 0.1, 0.1]})


def test_ranks_and_their_mean_by_hand():
    table = tables(HAND)[KEY]
    assert table.generators == ("p/small", "q/small", "r/small")
    assert [(row.method, row.ranks) for row in table.rows] == [("a", (1, 2, 1)), ("b", (2, 1, 2)), ("c", (3, 3, 3))]
    assert [row.mean for row in table.rows] == [
        (pytest.approx(4 / 3), None, None),
        (pytest.approx(5 / 3), None, None),
        (3.0, None, None),
    ]
    assert table.notes == ("intervals and tests across generators need 6 generators, there are 3",)


def test_a_checkpoint_counts_once_in_its_headline_space_with_its_familys_parameters():
    """w, psi 1 and psi .5 of one checkpoint are no three generators."""
    other = runs({"a": [0.1], "b": [0.9], "c": [0.5]}, gans="p", space="w", generator_params={"psi": 1})
    third = runs({"a": [0.1], "b": [0.9], "c": [0.5]}, gans="p", generator_params={"psi": 0.5})
    records = [
        *runs({m: [v] for m, v in zip("abc", (0.9, 0.5, 0.1), strict=True)}, gans="p", generator_params={"psi": 1})
    ]
    records += [*runs({m: [v] for m, v in zip("abc", (0.5, 0.9, 0.1), strict=True)}, gans="q"), *other, *third]
    rules = Rules(spaces={"p": "z"}, params={"p": {"psi": 1}})
    (table,) = [one for one in leaderboard(records, COLUMNS, rules).across if one.column == "kappa"]
    assert table.generators == ("p/small", "q/small")
    assert [(row.method, row.ranks) for row in table.rows] == [("a", (1, 2)), ("b", (2, 1)), ("c", (3, 3))]
    assert sum("each checkpoint counts once" in note for note in table.notes) == 2
    in_w = Rules(spaces={"p": "w"}, params={"p": {"psi": 1}})
    (table,) = [one for one in leaderboard(records, COLUMNS, in_w).across if one.column == "kappa"]
    assert [(row.method, row.ranks) for row in table.rows] == [("b", (1, 1)), ("a", (3, 2)), ("c", (2, 3))]


def test_checkpoints_of_one_family_and_domain_are_said_to_be_no_witnesses_of_their_own():
    records = [run for size in ("s", "m", "l") for run in runs({"a": [0.9], "b": [0.5]}, gans="p", checkpoint=size)]
    (table,) = [one for one in leaderboard(records, COLUMNS).across if one.column == "kappa"]
    assert "3 of the 3 are p on scenes: one architecture on one domain" in table.notes


def test_one_generator_unranked_tiers_and_refused_columns_have_no_table():
    assert tables(runs({"a": [0.9], "b": [0.5]})) == {}
    assert tables(runs({"a": [0.9, 0.5], "b": [0.5, 0.4]}, tier="paper")) == {}
    refused = Rules(verdicts=Verdicts({("rec", "kappa"): "it failed"}))
    assert [table.column for table in leaderboard(HAND, COLUMNS, refused).across] == ["leak"]


def test_who_is_incomplete_on_one_generator_is_named_and_keeps_its_place():
    """a fails on r: b and c stay below it, there and elsewhere."""
    kept = [run for run in HAND if (run.cell.method, run.cell.generator, run.cell.seed) != ("a", "r", 1)]
    failed = record("a", 1, generator="r", status="failed")
    for records in (kept, [*kept, failed]):
        table = tables(records)[KEY]
        assert [row.method for row in table.rows] == ["b", "c"]
        assert table.notes[0] == "not complete on every generator, so not ranked across them: a"
    absent = tables([run for run in HAND if (run.cell.method, run.cell.generator) != ("a", "r")])[KEY]
    assert [(row.method, row.ranks) for row in absent.rows] == [("b", (2, 1, 1)), ("c", (3, 3, 2))]


def test_from_six_generators_on_there_are_intervals_and_tests():
    kappas = {
        "a": [0.9, 0.8, 0.9, 0.7, 0.9, 0.95],
        "b": [0.5, 0.6, 0.4, 0.8, 0.5, 0.6],
        "c": [0.1, 0.2, 0.3, 0.2, 0.1, 0.1],
    }
    assert MIN_GENERATORS == 6
    table = tables(runs(kappas))[KEY]
    first = table.rows[0]
    assert first.ranks == (1, 1, 1, 2, 1, 1)
    assert first.mean.low < first.mean.mean < first.mean.high
    assert table.notes[0] == f"Friedman: p = {friedmanchisquare(*kappas.values()).pvalue:.3g}"
    assert table.notes[1] == "Wilcoxon, corrected by Holm: a and b p = 0.0938; a and c p = 0.0938; b and c p = 0.0938"
    (fewer,) = {table.notes for key, table in tables(runs({m: v[:5] for m, v in kappas.items()})).items() if key == KEY}
    assert fewer == ("intervals and tests across generators need 6 generators, there are 5",)


def test_two_methods_have_no_friedman_test():
    notes = tables(runs({"a": [0.9] * 6, "b": [0.5] * 6}))[KEY].notes
    assert [note.split(":")[0] for note in notes] == ["Wilcoxon, corrected by Holm"]


PLAIN = {name: [0.1 * place + 0.001 * (gan % 3) for gan in range(6)] for place, name in enumerate("edcba")}
"""Five methods in one order on six generators."""


def test_a_critical_difference_needs_six_generators_and_three_methods():
    """Mean ranks 1 to 5; Demšar's table 5 (a): 2.728 * sqrt(5 * 6 / (6 * 6)) = 2.49, so that 1, 2, 3 are joined."""
    table = tables(runs(PLAIN))[KEY]
    found = table.critical
    assert found.ranks == tuple(zip("abcde", (1, 2, 3, 4, 5), strict=True))
    assert found.difference == pytest.approx(2.728 * (5 / 6) ** 0.5, abs=2e-3)
    assert found.together == (("a", "b", "c"), ("b", "c", "d"), ("c", "d", "e"))
    assert found.p == pytest.approx(friedmanchisquare(*PLAIN.values()).pvalue)
    assert table.notes[-1] == (
        "Nemenyi: mean ranks of scores differ from 2.49 on; cannot be told apart: a, b, c; b, c, d; c, d, e"
    )
    assert tables(runs({name: values[:5] for name, values in PLAIN.items()}))[KEY].critical is None
    assert tables(runs({name: PLAIN[name] for name in "ab"}))[KEY].critical is None


def test_where_friedman_finds_nothing_no_pair_differs():
    turned = {name: [0.1 + 0.1 * ((place + gan) % 3) for gan in range(6)] for place, name in enumerate("abc")}
    found = tables(runs(turned))[KEY].critical
    assert found.p > 0.05
    assert [set(names) for names in found.together] == [set("abc")]
    assert "not asked" in tables(runs(turned))[KEY].notes[-1]


def test_ranks_of_a_column_that_should_be_low_begin_with_the_lowest():
    records = runs(PLAIN)
    mirrored = [
        replace(one, scores={"rec": {**one.scores["rec"], "leak": replace(one.scores["rec"]["leak"], value=value)}})
        for one in records
        if (value := -one.scores["rec"]["kappa"].value) is not None
    ]
    found = tables(mirrored)[("rec", "leak", "standard", 4)].critical
    assert [name for name, _ in found.ranks] == list("abcde")


def test_the_files_hold_a_critical_difference_where_there_is_one():
    told = json.loads(to_json(leaderboard(runs(PLAIN), COLUMNS, Rules(seeds=lambda cell: range(2)))))["across"]
    assert [dict(one["critical"]["ranks"])["a"] for one in told if one["column"] == "kappa"] == [1]
    assert "critical" not in json.loads(to_json(leaderboard(HAND, COLUMNS)))["across"][0]


def test_exports_hold_the_mean_ranks():
    made = leaderboard(HAND, COLUMNS)
    rows = [row for row in csv.DictReader(io.StringIO(to_csv(made))) if row["generator"] == "all"]
    kappa = [row for row in rows if row["column"] == "mean rank in kappa"]
    assert [(row["method"], round(float(row["mean"]), 3), row["n"]) for row in kappa] == [
        ("a", 1.333, "3"),
        ("b", 1.667, "3"),
        ("c", 3.0, "3"),
    ]
    assert json.loads(to_json(made))["across"][0]["rows"][0]["ranks"] == [1, 2, 1]
    text = to_markdown(made)
    assert "## rec.kappa: ranks across generators, tier standard, K = 4" in text
    assert "| a | 1 | 2 | 1 | 1.33 |" in text
    assert "need 6 generators, there are 3" in text
    assert len(made.to_frame()) == len(made.to_rows())


RECORDS = st.lists(
    st.builds(
        record,
        method=st.sampled_from(METHODS),
        seed=st.integers(0, 1),
        kappa=st.none() | st.sampled_from([0.1, 0.2, 0.8]),
        leak=st.sampled_from([0.1, 0.5, 0.9]),
        generator=st.sampled_from("pq"),
        status=st.sampled_from(["done", "done", "done", "done", "failed"]),
    ),
    min_size=4,
    max_size=24,
)


@settings(deadline=None, max_examples=60)
@given(
    RECORDS, st.sampled_from(METHODS), st.integers(0, 2), st.sampled_from("pq"), st.sampled_from(["failed", "timeout"])
)
def test_a_failed_run_never_improves_a_mean_rank(records, method, seed, gan, status):
    before, after = mean_ranks(records), mean_ranks([*records, record(method, seed, generator=gan, status=status)])
    assert all(after[key] >= before.get(key, 1e9) for key in after)


@settings(deadline=None, max_examples=40)
@given(RECORDS, st.data())
def test_a_run_that_fails_instead_never_improves_a_mean_rank_of_its_method(records, data):
    at = data.draw(st.integers(0, len(records) - 1))
    victim = records[at]
    failed = replace(victim, status="failed", reason="it broke", scores={})
    others = [run for run in records if run.id != victim.id]
    before, after = mean_ranks([*others, victim]), mean_ranks([*others, failed])
    for key in after:
        if key[1] == victim.cell.method:
            assert after[key] >= before.get(key, 1e9)


@settings(deadline=None, max_examples=40)
@given(RECORDS, st.randoms())
def test_the_order_of_records_changes_nothing(records, shuffle):
    shuffled = list(records)
    shuffle.shuffle(shuffled)
    assert leaderboard(shuffled, COLUMNS).across == leaderboard(records, COLUMNS).across


@settings(deadline=None, max_examples=40)
@given(
    RECORDS,
    st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=4, max_size=4),
    st.sampled_from(["control", "reference"]),
)
def test_controls_and_references_change_no_rank(records, kappas, role):
    added = [
        record("other", seed, kappa, generator=gan, role=role)
        for (gan, seed), kappa in zip([(gan, seed) for gan in "pq" for seed in (0, 1)], kappas, strict=True)
    ]
    assert mean_ranks([*records, *added]) == mean_ranks(records)


@settings(deadline=None, max_examples=40)
@given(RECORDS)
def test_lower_is_better_mirrors_higher(records):
    """leak is better when lower: as kappa of the negative it gives the same ranks."""

    def mirrored(run):
        if run.status != "done":
            return run
        leak = run.scores["rec"]["leak"]
        return replace(run, scores={**run.scores, "rec": {"kappa": replace(leak, value=-leak.value), "leak": leak}})

    found = tables(list(map(mirrored, records)))
    lower, higher = found.get(("rec", "leak", "standard", 4)), found.get(KEY)
    assert (lower and [(row.method, row.ranks) for row in lower.rows]) == (
        higher and [(row.method, row.ranks) for row in higher.rows]
    )
