"""The leaderboard: what it says of known records, and that failures and order cannot bend it."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbench import Column, UsageError
from gdbench.boards.acceptance import Verdicts, read_verdicts
from gdbench.boards.leaderboard import leaderboard
from gdbench.boards.rules import Rules
from gdbench.record import DISCOVERY, EVALUATION, Cell, Cost, RunRecord, Score

COLUMNS = {
    "rec": (
        Column("kappa", "right answers", "higher", "", ranked=True, headline=True, range=(0, 1)),
        Column("leak", "", "lower", "", ranked=True),
    ),
    "cost": (Column("seconds", "", "neither"),),
}
VERSIONS = {"discovery": DISCOVERY, "evaluation": EVALUATION, "generator": 1, "method": 1, "domain": 1}
VERSIONS |= {"metric:rec": 1, "metric:cost": 1}


def record(method="a", seed=0, kappa=0.5, leak=0.5, status="done", tier="standard", **changes):
    names = ("method_params", "generator_params", "space", "k", "generator", "checkpoint")
    cell_changes = {name: changes.pop(name) for name in names if name in changes}
    cell = {"generator": "gan", "checkpoint": "small", "k": 4, "space": "z", **cell_changes}
    scores = {"rec": {"kappa": number(kappa), "leak": number(leak)}, "cost": {"seconds": Score(3.0)}}
    made = RunRecord(
        id=f"{cell['generator']}-{method}-{seed}-{tier}-{cell_changes}",
        cell=Cell(method=method, seed=seed, tier=tier, **cell),
        status=status,
        reason="" if status == "done" else "it broke",
        domain="scenes",
        distance="oracle a",
        versions=VERSIONS,
        scores=scores if status == "done" else {},
    )
    return replace(made, **changes)


def seeds(**numbers):
    """What a suite asks for: method -> number of seeds."""
    return Rules(seeds=lambda cell: range(numbers.get(cell.method, 0)))


def number(value):
    return Score(None, "no number") if value is None else Score(value)


def three(method, kappas, **more):
    return [record(method, seed, kappa, **more) for seed, kappa in enumerate(kappas)]


def board(records, rules=None, columns=COLUMNS):
    (made,) = leaderboard(records, columns, rules).boards
    return made


def rows(records, rules=None):
    return {row.method: row for row in board(records, rules).rows}


def test_boards_stand_in_the_order_of_the_suite_and_else_by_name():
    records = [record(generator=name) for name in ("one", "three", "two")]
    order = {"two": 0, "one": 1}
    suited = leaderboard(records, COLUMNS, Rules(place=lambda generator, *_: order.get(generator, 2)))
    assert [made.key.generator for made in suited.boards] == ["two", "one", "three"]
    assert [made.key.generator for made in leaderboard(records, COLUMNS).boards] == ["one", "three", "two"]


def kappas(records, rules=None):
    return {name: row.entry("rec", "kappa") for name, row in rows(records, rules).items()}


def ranks_of(records, rules=None):
    return {name: entry.rank for name, entry in kappas(records, rules).items()}


GOOD, POOR = three("good", [0.8, 0.82, 0.81]), three("poor", [0.5, 0.5, 0.52])


def test_means_counts_and_ranks():
    """Pooled variance (.0002 + .00026667) / 4, four degrees of freedom: 2.776 sqrt(.00011667 / 3) to each side."""
    found = kappas([*GOOD, *POOR])
    assert found["good"].mean == pytest.approx(0.81)
    assert found["good"].low == pytest.approx(0.81 - 0.017312, abs=1e-5)
    assert found["good"].high == pytest.approx(0.81 + 0.017312, abs=1e-5)
    assert found["poor"].high - found["poor"].low == pytest.approx(found["good"].high - found["good"].low)
    assert (found["good"].n, found["good"].expected) == (3, 3)
    assert {name: entry.rank for name, entry in found.items()} == {"good": 1, "poor": 2}


def test_lower_is_better_and_neither_is_unranked():
    records = [*three("low", [1, 1, 1], leak=0.1), *three("high", [1, 1, 1], leak=0.9)]
    found = rows(records)
    assert {name: row.entry("rec", "leak").rank for name, row in found.items()} == {"low": 1, "high": 2}
    assert {row.entry("cost", "seconds").rank for row in found.values()} == {None}


@pytest.mark.parametrize("tier", ["quick", "standard"])
def test_every_tier_with_a_cap_ranks_at_its_own_budget(tier):
    assert ranks_of([*three("good", [0.8, 0.82, 0.81], tier=tier), *three("poor", [0.5, 0.5, 0.52], tier=tier)]) == {
        "good": 1,
        "poor": 2,
    }


@pytest.mark.parametrize(("tier", "why"), [("paper", "has no cap"), ("smoke", "for tests")])
def test_paper_and_smoke_are_shown_and_not_ranked(tier, why):
    made = board([*three("good", [0.8, 0.82, 0.81], tier=tier), *three("poor", [0.5, 0.5, 0.52], tier=tier)])
    assert {entry.rank for row in made.rows for entry in row.entries} == {None}
    assert any(why in note for note in made.notes)


def test_a_domain_may_say_why_nothing_ranks_on_it():
    records = [*three("good", [0.8, 0.82, 0.81]), *three("poor", [0.5, 0.5, 0.52])]
    silent = board(records, Rules(domains={"scenes": "only looks at pixels", "toy": "is another"}))
    assert {entry.rank for row in silent.rows for entry in row.entries} == {None}
    assert "domain scenes only looks at pixels" in silent.notes
    assert ranks_of(records, Rules(domains={"toy": "is another"})) == {"good": 1, "poor": 2}


def test_a_missing_failed_or_void_seed_leaves_a_method_shown_and_unranked():
    for third in ([], [record("good", 2, status="failed")], [record("good", 2, kappa=None)]):
        entry = kappas([*GOOD[:2], *third, *POOR])["good"]
        assert (entry.mean, entry.n, entry.expected, entry.rank) == (pytest.approx(0.81), 2, 3, None)
        assert entry.state == "incomplete"
    assert kappas([*GOOD[:2], record("good", 2, status="failed"), *POOR])["good"].note == "failed: it broke"


def test_an_incomplete_rival_still_stands_above_those_it_beats():
    assert ranks_of([*GOOD[:2], record("good", 2, status="failed"), *POOR]) == {"good": None, "poor": 2}


def test_a_failure_beyond_the_expected_seeds_counts_too():
    asked = Rules(seeds=lambda cell: range(4) if cell.method == "good" else range(3))
    entry = kappas([*GOOD, record("good", 3, status="failed"), *POOR], asked)["good"]
    assert (entry.n, entry.expected, entry.rank) == (3, 4, None)


def test_a_method_without_any_number_gives_its_reasons():
    records = [*GOOD, *[record("none", seed, status="incompatible") for seed in range(3)]]
    row = rows(records)["none"]
    assert row.entry("rec", "kappa").mean is None
    assert row.entry("rec", "kappa").state == "void"
    assert row.entry("rec", "kappa").note == "incompatible: it broke (3 seeds)"
    assert row.failures == tuple(f"seed {seed}: incompatible: it broke" for seed in range(3))


def test_a_method_beyond_the_cap_of_its_tier_takes_no_part_in_ranks():
    """PROTOCOL, "Budgets": a method is ranked in every tier whose cap it keeps."""

    def costly(images, tier):
        runs = [record("good", seed, kappa, tier=tier) for seed, kappa in enumerate([0.8, 0.82, 0.81])]
        poor = [record("poor", seed, kappa, tier=tier) for seed, kappa in enumerate([0.5, 0.5, 0.52])]
        return [*(replace(run, costs={"discover": Cost(images=images)}) for run in runs), *poor]

    assert ranks_of(costly(1_000_000, "standard")) == {"good": 1, "poor": 2}
    assert ranks_of(costly(1_000_001, "standard")) == {"good": None, "poor": 1}
    assert ranks_of(costly(100_001, "quick")) == {"good": None, "poor": 1}
    made = board(costly(1_000_001, "standard"))
    assert any("good rendered 1,000,001 images" in note and "not ranked" in note for note in made.notes)


def test_the_suite_says_how_many_seeds_are_expected():
    assert kappas([*GOOD, *POOR], seeds(good=5, poor=3))["good"].expected == 5
    assert ranks_of([*GOOD, *POOR], seeds(good=5, poor=3)) == {"good": None, "poor": 2}
    assert ranks_of([*GOOD, *POOR[:1]], seeds(good=3, poor=1)) == {"good": 1, "poor": 2}


def test_a_suite_is_a_view_of_the_records():
    """What it does not ask for is left out, and counted."""
    made = leaderboard([*GOOD, *POOR], COLUMNS, seeds(good=2))
    assert [(row.method, row.entry("rec", "kappa").n) for row in made.boards[0].rows] == [("good", 2)]
    assert made.notes == ("4 records that the suite does not ask for left out",)


def test_what_a_suite_asks_for_and_nobody_ran_is_named():
    asks = replace(seeds(good=3, other=3), asked=lambda cell: {"good": 3, "other": 3, "third": 1})
    assert "not run yet: other (0 of 3), third (0 of 1)" in board(GOOD, asks).notes
    assert not any("not run yet" in note for note in board(GOOD, replace(asks, asked=lambda cell: {"good": 3})).notes)


def test_one_seed_each_ranks_nobody_and_says_so():
    made = board([record("a", 0, 0.9), record("b", 0, 0.1)])
    assert {entry.rank for row in made.rows for entry in row.entries} == {None}
    assert any("nothing is known of the variance between seeds" in note for note in made.notes)
    controls = board(three("random", [0.1, 0.2, 0.3], role="control"))
    assert controls.notes == ()
    assert ranks_of([record("a", 0, 0.9), *POOR], seeds(a=1, poor=3)) == {"a": 1, "poor": 2}


# Who draws and who does not


def test_deterministic_methods_have_the_variance_of_evaluations():
    """Theirs does not shrink the interval of methods that draw, nor is it widened by them."""
    drawn = [*three("x", [0.45, 0.5, 0.55]), *three("y", [0.46, 0.5, 0.54])]
    fixed = [*three("d", [0.40, 0.41, 0.42]), *three("e", [0.70, 0.71, 0.72])]
    found = kappas([*drawn, *fixed], Rules(deterministic=frozenset("de")))
    alone = kappas(drawn)
    assert (found["x"].low, found["x"].high) == (alone["x"].low, alone["x"].high)
    half = 2.7764 * 0.01 / 3**0.5
    assert (found["d"].low, found["e"].high) == (
        pytest.approx(0.41 - half, abs=1e-5),
        pytest.approx(0.71 + half, abs=1e-5),
    )
    assert [found[name].rank for name in "exyd"] == [1, 2, 2, 4]
    once = kappas([*drawn, record("d", 0, 0.4)], Rules(deterministic=frozenset("d")))["d"]
    assert once.high - once.mean == pytest.approx(
        3**0.5 * (alone["x"].high - alone["x"].mean)
    )  # one of those that draw


def test_dead_controls_do_not_narrow_the_intervals_of_methods():
    dead = three("dead", [0, 0, 0], role="control")
    assert kappas([*GOOD, *POOR, *dead])["good"] == kappas([*GOOD, *POOR])["good"]
    assert kappas([*GOOD, *POOR, *dead])["dead"].high == 0


# The baseline

BASE = Rules(baselines=frozenset({"random"}))


def test_methods_are_set_against_the_baseline():
    random = three("random", [0.5, 0.5, 0.51], role="control")
    found = kappas([*GOOD, *POOR, *three("bad", [0.1, 0.11, 0.1]), *random], BASE)
    assert {name: entry.mark for name, entry in found.items()} == {
        "good": "above",
        "poor": "not separable",
        "bad": "below",
        "random": "",
    }
    assert found["good"].p < 0.001
    assert found["random"].p is None


def test_lower_is_better_mirrors_the_marks():
    records = [*three("low", [1, 1, 1], leak=0.1), *three("high", [1, 1, 1], leak=0.9)]
    random = [record("random", seed, leak=0.5 + 0.01 * seed, role="control") for seed in range(3)]
    found = rows([*records, *random], BASE)
    assert {name: found[name].entry("rec", "leak").mark for name in ("low", "high")} == {
        "low": "above",
        "high": "below",
    }


def test_incomplete_methods_have_no_mark_and_no_baseline_sets_none():
    random = three("random", [0.5, 0.5, 0.51], role="control")
    found = kappas([*GOOD[:2], *POOR, *random], BASE)
    assert (found["good"].mark, found["poor"].mark) == ("", "not separable")
    assert {entry.mark for entry in kappas([*GOOD, *POOR, *random]).values()} == {""}
    assert board([*GOOD, *random], BASE).baseline == "random"
    assert board(GOOD, BASE).baseline == ""


def test_a_method_that_fails_makes_nobody_elses_test_easier():
    """Holm counts it: p of the others is as it was."""
    random = three("random", [0.5, 0.52, 0.48], role="control")
    border = three("border", [0.56, 0.55, 0.57])
    others = [run for name in "uvwx" for run in three(name, [0.5, 0.51, 0.49])]
    whole = kappas([*border, *others, *random], BASE)["border"]
    failed = [replace(run, status="failed", reason="x", scores={}) for run in others]
    assert kappas([*border, *failed, *random], BASE)["border"].mark == whole.mark
    alone = kappas([*border, *random], BASE)["border"]
    assert kappas([*border, *failed, *random], BASE)["border"].p == pytest.approx(5 * alone.p)


def test_the_least_difference_that_counts_makes_ties():
    random = three("random", [0.5, 0.5, 0.51], role="control")
    rules = replace(BASE, verdicts=Verdicts(least={("rec", "kappa"): 0.35}))
    found = kappas([*GOOD, *POOR, *random], rules)
    assert (found["good"].rank, found["poor"].rank, found["good"].mark) == (1, 1, "not separable")
    assert found["good"].p < 0.001
    fewer = replace(BASE, verdicts=Verdicts(least={("rec", "kappa"): 0.2}))
    assert kappas([*GOOD, *POOR, *random], fewer)["poor"].rank == 2


# Places


def test_controls_and_references_stand_apart():
    control = three("random", [0.9, 0.9, 0.9], role="control")
    reference = three("linear", [0.99, 0.99, 0.99], role="reference")
    made = board([*reference, *control, *POOR, *GOOD])
    assert [(row.role, row.method) for row in made.rows] == [
        ("method", "good"),
        ("method", "poor"),
        ("control", "random"),
        ("reference", "linear"),
    ]
    assert [row.entry("rec", "kappa").rank for row in made.rows] == [1, 2, None, None]


def test_complete_methods_come_first_then_the_better_mean():
    best = three("best", [0.9, 0.9])
    void = [record("void", seed, None) for seed in range(3)]
    assert [row.method for row in board([*void, *best, *POOR, *GOOD]).rows] == ["good", "poor", "best", "void"]


def test_previews_say_so():
    made = board([replace(run, checkpoint_status="preview") for run in GOOD])
    assert any("preview" in note for note in made.notes)


def test_a_share_stays_a_share():
    """An interval does not leave the range that its column declares."""
    found = rows([*three("none", [0.0, 0.0, 0.2], leak=0.0), *three("all", [1.0, 1.0, 0.8], leak=1.0)])
    none, whole = (found[name].entry("rec", "kappa") for name in ("none", "all"))
    assert none.low == 0
    assert none.mean < none.high < 0.5
    assert whole.high == 1
    assert 0.5 < whole.low < whole.mean


# Versions, parameters, keys


def test_what_a_checkpoint_lacks_stands_on_its_board():
    records = [replace(r, checkpoint_lacks="shape plus") for r in three("a", [1, 1, 1])]
    older = three("b", [1, 1, 1])  # recorded before the card knew
    (board,) = leaderboard([*records, *older], COLUMNS).boards
    assert f"checkpoint {records[0].cell.checkpoint} lacks shape plus" in board.notes


def test_other_versions_are_counted_and_not_shown():
    old = [replace(r, versions={**VERSIONS, "evaluation": EVALUATION - 1}) for r in three("old", [1, 1, 1])]
    older = [replace(r, versions={"protocol": 1, "generator": 1}) for r in three("older", [1, 1, 1])]
    outdated = [replace(r, versions={**VERSIONS, "method": 0}) for r in three("good", [1, 1, 1], k=8)]
    made = leaderboard([*GOOD, *old, *older, *outdated], COLUMNS)
    assert made.notes == ("9 records of other versions of protocol or plugins left out",)
    assert [row.method for one in made.boards for row in one.rows] == ["good"]
    assert leaderboard(GOOD, COLUMNS, Rules(versions={("method", "good"): 2})).boards == ()


def test_records_of_changed_code_are_refused_in_one_line():
    edited = [replace(run, environment={"changed": True}) for run in POOR]
    clean = [replace(run, environment={"changed": False, "commit": "abc"}) for run in GOOD]
    made = leaderboard([*clean, *edited], COLUMNS)
    assert [row.method for row in made.boards[0].rows] == ["good"]
    assert made.notes == ("3 records of changed code refused: commit, then run again; --changed shows them here",)
    shown = leaderboard([*clean, *edited], COLUMNS, Rules(changed=True))
    assert [row.method for row in shown.boards[0].rows] == ["good", "poor"]
    assert shown.notes == ("3 records of changed code among these: nobody can make them again",)


def test_another_metric_version_or_parameter_is_void():
    older = [*GOOD[:2], replace(GOOD[2], versions={**VERSIONS, "metric:rec": 0}), *POOR]
    assert kappas(older)["good"].note == "measured with another version of the metric"
    other = [*GOOD[:2], replace(GOOD[2], metric_params={"rec": {"pairs": 5}}), *POOR]
    assert kappas(other)["good"].note == "measured with other parameters"
    assert kappas(other)["good"].rank is None


def test_another_distance_is_counted_and_not_shown():
    made = board([*GOOD, replace(POOR[0], distance="by hand")])
    assert [row.method for row in made.rows] == ["good"]
    assert "1 records calibrated with another distance are not shown" in made.notes


def test_parameters_of_methods_make_rows_of_their_own():
    ortho = three("v", [0.8, 0.8, 0.8], method_params={"form": "ortho", "lr": 1})
    unit = three("v", [0.5, 0.5, 0.5], method_params={"form": "unit", "lr": 1})
    assert set(rows([*ortho, *unit])) == {"v (form=ortho)", "v (form=unit)"}


@pytest.mark.parametrize(
    "other",
    [
        {"k": 8},
        {"tier": "paper"},
        {"space": "w"},
        {"generator": "x"},
        {"checkpoint": "large"},
        {"generator_params": {"psi": 0.5}},
        {"checkpoint_sha256": "ab" * 32},
    ],
    ids=lambda other: next(iter(other)),
)
def test_boards_are_told_apart_in_title_and_in_every_row(other):
    """Checkpoint, its weights, generator parameters, space, K and tier: what differs stands in title, CSV and JSON."""
    others = [replace(run, id=f"other-{run.id}") for run in three("good", [0.1, 0.1, 0.1], **other)]
    made = leaderboard([*GOOD, *others], COLUMNS)
    assert len(made.boards) == 2
    assert len({one.title for one in made.boards}) == 2
    keys = {json.dumps({**one.key.as_row()}) for one in made.boards}
    assert len(keys) == 2
    flat = [{**row, "mean": None} for row in made.to_rows() if row["column"] == "kappa" and row["generator"] != "all"]
    assert flat[0] != flat[1]


# Tiers in which a method has the same parameters

ALIKE = Rules(alike={"pca": {"quick": ("standard",), "standard": ("quick",)}})


def by_tier(records, rules):
    return {
        one.key.tier: {row.method: row.entry("rec", "kappa").n for row in one.rows}
        for one in leaderboard(records, COLUMNS, rules).boards
    }


def test_a_run_stands_in_every_tier_in_which_its_method_is_the_same():
    learned = [run for tier in ("quick", "standard") for run in three("learned", [0.5, 0.6, 0.7], tier=tier)]
    once = three("pca", [0.4, 0.4, 0.5], tier="quick")
    assert by_tier([*learned, *once], ALIKE) == {
        "quick": {"learned": 3, "pca": 3},
        "standard": {"learned": 3, "pca": 3},
    }
    assert by_tier([*learned, *once], Rules()) == {"quick": {"learned": 3, "pca": 3}, "standard": {"learned": 3}}
    assert by_tier(once, ALIKE) == {"quick": {"pca": 3}}


def test_a_tiers_own_run_comes_before_one_of_another_tier():
    learned = three("learned", [0.5, 0.6, 0.7])
    both = [*three("pca", [0.4, 0.4, 0.4], tier="quick"), *three("pca", [0.6, 0.6])]
    made = {one.key.tier: one for one in leaderboard([*learned, *both], COLUMNS, ALIKE).boards}
    (entry,) = (row.entry("rec", "kappa") for row in made["standard"].rows if row.method == "pca")
    assert (entry.n, entry.mean) == (3, pytest.approx((0.6 + 0.6 + 0.4) / 3))


def test_a_suite_of_one_tier_takes_runs_of_another_and_makes_no_board_of_that():
    asks = Rules(seeds=lambda cell: range(3) if cell.tier == "standard" else (), alike=ALIKE.alike)
    once = three("pca", [0.4, 0.4, 0.5], tier="quick")
    assert by_tier([*three("learned", [0.5, 0.6, 0.7]), *once], asks) == {"standard": {"learned": 3, "pca": 3}}


def test_a_costly_run_of_another_tier_is_beyond_the_cap_of_the_smaller():
    costly = [replace(run, costs={"discover": Cost(images=200_000)}) for run in three("pca", [0.4, 0.4, 0.5])]
    made = leaderboard([*costly, *three("x", [0.1, 0.1, 0.2], tier="quick")], COLUMNS, ALIKE)
    quick = {row.method: row.entry("rec", "kappa").rank for row in made.boards[0].rows}
    assert made.boards[0].key.tier == "quick"
    assert quick == {"x": 1, "pca": None}


# Whatever the records


def test_the_same_run_twice_counts_once_and_a_finished_copy_wins():
    failed = replace(GOOD[0], status="failed", reason="it broke", scores={})
    assert leaderboard([*GOOD, *GOOD, failed], COLUMNS) == leaderboard(GOOD, COLUMNS)


RECORDS = st.lists(
    st.builds(
        record,
        method=st.sampled_from("abc"),
        seed=st.integers(0, 3),
        kappa=st.none() | st.sampled_from([0.1, 0.2, 0.3, 0.8]),
        leak=st.sampled_from([0.1, 0.5, 0.9]),
        status=st.sampled_from(["done", "done", "done", "failed", "incompatible", "timeout"]),
        role=st.sampled_from(["method"]),
    ),
    max_size=14,
)


def all_ranks(records):
    return {
        (one.key.tier, row.method, entry.metric, entry.column): entry.rank
        for one in leaderboard(records, COLUMNS).boards
        for row in one.rows
        for entry in row.entries
    }


def place(rank: int | None) -> float:
    """A rank as a number; none is behind every rank."""
    return math.inf if rank is None else rank


@settings(deadline=None, max_examples=60)
@given(RECORDS, st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["failed", "timeout", "incompatible"]))
def test_a_failed_run_never_improves_a_rank(records, method, seed, status):
    before, after = all_ranks(records), all_ranks([*records, record(method, seed, status=status)])
    for key, rank in before.items():
        assert place(after[key]) >= place(rank)


@settings(deadline=None, max_examples=40)
@given(RECORDS, st.data())
def test_a_run_that_fails_instead_never_improves_the_rank_of_its_method(records, data):
    if records:
        victim = data.draw(st.sampled_from(records))
        others = [run for run in records if run.id != victim.id]
        failed = replace(victim, status="failed", reason="it broke", scores={})
        before, after = all_ranks([*others, victim]), all_ranks([*others, failed])
        for key in before.keys() & after.keys():
            if key[1] == victim.cell.method:
                assert place(after[key]) >= place(before[key])


@settings(deadline=None, max_examples=40)
@given(RECORDS, st.randoms())
def test_the_order_of_records_changes_nothing(records, shuffle):
    shuffled = list(records)
    shuffle.shuffle(shuffled)
    assert leaderboard(shuffled, COLUMNS) == leaderboard(records, COLUMNS)


# What a suite's verdicts refuse


def test_a_refused_column_is_shown_and_not_ranked():
    verdicts = Verdicts({("rec", "kappa"): "acceptance: a bent path is worse: fails"})
    made = board([*GOOD, *POOR], Rules(verdicts=verdicts))
    entries = {row.method: row.entry("rec", "kappa") for row in made.rows}
    assert entries["good"].mean == pytest.approx(0.81)
    assert {entry.rank for entry in entries.values()} == {None}
    assert {row.entry("rec", "leak").rank for row in made.rows} == {1}
    assert "rec.kappa is shown and not ranked: acceptance: a bent path is worse: fails" in made.notes


def test_notes_on_columns_that_a_board_does_not_have_are_not_printed():
    verdicts = Verdicts({("other", "score"): "acceptance: fails", ("rec", "kappa"): "acceptance: fails"})
    made = leaderboard([*GOOD, *POOR], COLUMNS, Rules(verdicts=verdicts))
    assert not any("other.score" in note for note in (*made.notes, *made.boards[0].notes))


def test_verdicts_count_in_the_installed_version_only(tmp_path):
    path = tmp_path / "acceptance.json"
    path.write_text(
        json.dumps(
            {"versions": {"rec": 1}, "refused": {"rec.kappa": "", "rec.leak": "x: fails"}, "least": {"rec.kappa": 0.02}}
        )
    )
    found = read_verdicts(path, COLUMNS, {("metric", "rec"): 1})
    assert found.refused == {("rec", "leak"): "acceptance: x: fails"}
    assert found.least == {("rec", "kappa"): 0.02}
    newer = read_verdicts(path, COLUMNS, {("metric", "rec"): 2})
    assert set(newer.refused) == {("rec", "kappa"), ("rec", "leak")}
    assert newer.refused["rec", "kappa"] == "not tried in acceptance in version 2"
    assert newer.least == {}
    other = read_verdicts(path, {"new": (Column("x", "", ranked=True),)}, {("metric", "new"): 1})
    assert set(other.refused) == {("new", "x")}


@pytest.mark.parametrize("text", ["", "[]", '{"versions": {}}', '{"versions": {}, "refused": {}, "least": {"a": "b"}}'])
def test_what_is_no_file_of_verdicts_is_told(tmp_path, text):
    path = tmp_path / "acceptance.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="no verdicts"):
        read_verdicts(path, COLUMNS, {})
    untried = read_verdicts(tmp_path / "none.json", COLUMNS, {("metric", "rec"): 1})
    assert untried.refused["rec", "kappa"] == "not tried in acceptance in version 1"


@pytest.mark.parametrize("value", ["-0.1", "NaN", "Infinity"])
def test_a_least_difference_is_a_size(tmp_path, value):
    path = tmp_path / "acceptance.json"
    path.write_text(f'{{"versions": {{}}, "refused": {{}}, "least": {{"rec.kappa": {value}}}}}')
    with pytest.raises(UsageError, match="expected 0 or more"):
        read_verdicts(path, COLUMNS, {})
