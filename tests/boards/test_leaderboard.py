"""The leaderboard: what it says of known records, and that failures, order and hostile names cannot bend it."""

import csv
import io
import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbench import Column, UsageError
from gdbench.boards.acceptance import refused
from gdbench.boards.leaderboard import LEGEND, NOT_CONVERGED, leaderboard
from gdbench.record import DISCOVERY, EVALUATION, Cell, Cost, RunRecord, Score

COLUMNS = {
    "rec": (Column("kappa", "", "higher", "", ranked=True), Column("leak", "", "lower", "", ranked=True)),
    "cost": (Column("seconds", "", "neither"),),
}
VERSIONS = {"discovery": DISCOVERY, "evaluation": EVALUATION, "generator": 1, "method": 1, "domain": 1}
VERSIONS |= {"metric:rec": 1, "metric:cost": 1}


def record(method="a", seed=0, kappa=0.5, leak=0.5, status="done", tier="standard", **changes):
    cell_changes = {name: changes.pop(name) for name in ("method_params", "space", "k", "generator") if name in changes}
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
    """What a suite expects: method -> number of seeds."""
    return lambda cell: numbers.get(cell.method, 0)


def number(value):
    return Score(None, "no number") if value is None else Score(value)


def three(method, kappas, **more):
    return [record(method, seed, kappa, **more) for seed, kappa in enumerate(kappas)]


def rows(records, **options):
    (board,) = leaderboard(records, COLUMNS, **options).boards
    return {row.method: row for row in board.rows}


def kappas(records, **options):
    return {name: row.entry("rec", "kappa") for name, row in rows(records, **options).items()}


GOOD, POOR = three("good", [0.8, 0.82, 0.81]), three("poor", [0.5, 0.5, 0.52])


def test_means_counts_and_ranks():
    found = kappas([*GOOD, *POOR])
    assert found["good"].mean == pytest.approx(0.81)
    assert found["good"].low == pytest.approx(0.80)
    assert found["good"].high == pytest.approx(0.82)
    assert (found["good"].n, found["good"].expected) == (3, 3)
    assert {name: entry.rank for name, entry in found.items()} == {"good": 1, "poor": 2}


def test_lower_is_better_and_neither_is_unranked():
    records = [*three("low", [1, 1, 1], leak=0.1), *three("high", [1, 1, 1], leak=0.9)]
    found = rows(records)
    assert {name: row.entry("rec", "leak").rank for name, row in found.items()} == {"low": 1, "high": 2}
    assert {row.entry("cost", "seconds").rank for row in found.values()} == {None}


def test_a_missing_failed_or_void_seed_leaves_a_method_shown_and_unranked():
    for third in ([], [record("good", 2, status="failed")], [record("good", 2, kappa=None)]):
        entry = kappas([*GOOD[:2], *third, *POOR])["good"]
        assert (entry.mean, entry.n, entry.expected, entry.rank) == (pytest.approx(0.81), 2, 3, None)
    assert kappas([*GOOD[:2], record("good", 2, status="failed"), *POOR])["good"].note == "failed: it broke"


def test_a_failure_beyond_the_expected_seeds_counts_too():
    entry = kappas([*GOOD, record("good", 3, status="failed"), *POOR], expected=seeds(good=3, poor=3))["good"]
    assert (entry.n, entry.expected, entry.rank) == (3, 4, None)


def test_a_method_without_any_number_gives_its_reasons():
    records = [*GOOD, *[record("none", seed, status="incompatible") for seed in range(3)]]
    row = rows(records)["none"]
    assert row.entry("rec", "kappa").mean is None
    assert row.entry("rec", "kappa").note == "incompatible: it broke (3 seeds)"
    assert row.failures == tuple(f"seed {seed}: incompatible: it broke" for seed in range(3))


def test_a_method_beyond_the_cap_of_its_tier_takes_no_part_in_ranks():
    """PROTOCOL section 2: a method is ranked in every tier whose cap it keeps."""

    def costly(images, tier):
        runs = [record("good", seed, kappa, tier=tier) for seed, kappa in enumerate([0.8, 0.82, 0.81])]
        poor = [record("poor", seed, kappa, tier=tier) for seed, kappa in enumerate([0.5, 0.5, 0.52])]
        return [*(replace(run, costs={"discover": Cost(images=images)}) for run in runs), *poor]

    def ranks_of(records):
        return {name: entry.rank for name, entry in kappas(records).items()}

    assert ranks_of(costly(1_000_000, "standard")) == {"good": 1, "poor": 2}
    assert ranks_of(costly(1_000_001, "standard")) == {"good": None, "poor": 1}
    assert ranks_of(costly(1_000_001, "paper")) == {"good": 1, "poor": 2}
    (board,) = leaderboard(costly(1_000_001, "standard"), COLUMNS).boards
    assert any("good rendered 1,000,001 images" in note and "not ranked" in note for note in board.notes)


def test_the_suite_says_how_many_seeds_are_expected():
    assert kappas([*GOOD, *POOR], expected=seeds(good=5))["good"].rank is None
    assert kappas([*GOOD, *POOR[:1]], expected=seeds(poor=1))["poor"].rank == 1


def test_controls_and_references_stand_apart():
    control = three("random", [0.9, 0.9, 0.9], role="control")
    reference = three("linear", [0.99, 0.99, 0.99], role="reference")
    (board,) = leaderboard([*reference, *control, *POOR, *GOOD], COLUMNS).boards
    assert [(row.role, row.method) for row in board.rows] == [
        ("method", "good"),
        ("method", "poor"),
        ("control", "random"),
        ("reference", "linear"),
    ]
    assert [row.entry("rec", "kappa").rank for row in board.rows] == [1, 2, None, None]


def test_quick_and_preview_say_so_and_quick_is_unranked():
    records = [replace(r, checkpoint_status="preview") for r in three("a", [1, 1, 1], tier="quick")]
    (board,) = leaderboard(records, COLUMNS).boards
    assert NOT_CONVERGED in board.notes
    assert any("preview" in note for note in board.notes)
    assert {entry.rank for row in board.rows for entry in row.entries} == {None}
    assert "learned methods not converged" in leaderboard(records, COLUMNS).to_markdown()


def test_other_versions_are_counted_and_not_shown():
    old = [replace(r, versions={**VERSIONS, "evaluation": 1}) for r in three("old", [1, 1, 1])]
    outdated = [replace(r, versions={**VERSIONS, "method": 0}) for r in three("good", [1, 1, 1], k=4, space="w")]
    made = leaderboard([*GOOD, *old, *outdated], COLUMNS)
    assert made.notes == ("6 records of other versions of protocol or plugins are not shown",)
    assert [row.method for board in made.boards for row in board.rows] == ["good"]
    assert leaderboard(GOOD, COLUMNS, current={("method", "good"): 2}).boards == ()


def test_another_metric_version_or_parameter_is_void():
    older = [*GOOD[:2], replace(GOOD[2], versions={**VERSIONS, "metric:rec": 0}), *POOR]
    assert kappas(older)["good"].note == "measured with another version of the metric"
    other = [*GOOD[:2], replace(GOOD[2], metric_params={"rec": {"pairs": 5}}), *POOR]
    assert kappas(other)["good"].note == "measured with other parameters"
    assert kappas(other)["good"].rank is None


def test_another_distance_is_counted_and_not_shown():
    (board,) = leaderboard([*GOOD, replace(POOR[0], distance="by hand")], COLUMNS).boards
    assert [row.method for row in board.rows] == ["good"]
    assert "1 records calibrated with another distance are not shown" in board.notes


def test_parameters_and_spaces_make_rows_of_their_own():
    ortho = three("v", [0.8, 0.8, 0.8], method_params={"form": "ortho", "lr": 1})
    unit = three("v", [0.5, 0.5, 0.5], method_params={"form": "unit", "lr": 1})
    assert set(rows([*ortho, *unit])) == {"v (form=ortho)", "v (form=unit)"}
    assert set(rows([*GOOD, *three("good", [1, 1, 1], space="w")])) == {"good in w", "good in z"}


def test_generators_tiers_and_k_have_boards_of_their_own():
    records = [
        *GOOD,
        *three("good", [1, 1, 1], k=8),
        *three("good", [1, 1, 1], tier="paper"),
        *three("b", [1], generator="x"),
    ]
    assert len(leaderboard(records, COLUMNS).boards) == 4


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
        (board.tier, row.method, entry.metric, entry.column): entry.rank
        for board in leaderboard(records, COLUMNS, expected=seeds(a=3, b=3, c=3)).boards
        for row in board.rows
        for entry in row.entries
    }


def place(rank: int | None) -> float:
    """A rank as a number; none is behind every rank."""
    return math.inf if rank is None else rank


@settings(deadline=None, max_examples=40)
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


def test_no_records_make_an_empty_leaderboard():
    made = leaderboard([], COLUMNS)
    assert made.boards == ()
    assert made.to_frame().empty
    assert made.to_csv() == "generator\n"
    assert json.loads(made.to_json()) == {"boards": [], "notes": [], "across": []}
    assert made.to_markdown() == f"# Leaderboard\n\n{LEGEND}\n"


# What a suite's verdicts refuse


def test_a_refused_column_is_shown_and_not_ranked():
    made = leaderboard([*GOOD, *POOR], COLUMNS, refused={("rec", "kappa"): "acceptance: a bent path is worse: fails"})
    entries = {row.method: row.entry("rec", "kappa") for row in made.boards[0].rows}
    assert entries["good"].mean == pytest.approx(0.81)
    assert {entry.rank for entry in entries.values()} == {None}
    assert {row.entry("rec", "leak").rank for row in made.boards[0].rows} == {1}
    assert made.notes == ("rec.kappa is shown and not ranked: acceptance: a bent path is worse: fails",)
    assert "shown and not ranked" in made.to_markdown()


def test_verdicts_count_in_the_installed_version_only(tmp_path):
    path = tmp_path / "acceptance.json"
    path.write_text(json.dumps({"versions": {"rec": 1}, "refused": {"rec.kappa": "", "rec.leak": "x: fails"}}))
    assert refused(path, COLUMNS, {("metric", "rec"): 1}) == {("rec", "leak"): "acceptance: x: fails"}
    newer = refused(path, COLUMNS, {("metric", "rec"): 2})
    assert set(newer) == {("rec", "kappa"), ("rec", "leak")}
    assert newer["rec", "kappa"] == "not tried in acceptance in version 2"
    assert set(refused(path, {"new": (Column("x", "", ranked=True),)}, {("metric", "new"): 1})) == {("new", "x")}
    for text in ("", "[]", '{"versions": {}}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="no verdicts"):
            refused(path, COLUMNS, {})
    with pytest.raises(UsageError, match="no verdicts"):
        refused(tmp_path / "none.json", COLUMNS, {})


# Exports

NASTY = [
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@x",
    "a|b",
    "<img src=x>",
    "[a](javascript:x)",
    "`x`",
    "a\nb|c",
    "\t=1",
    "a\x1b[2J",
]


@pytest.mark.parametrize("text", NASTY)
def test_csv_holds_no_formula(text):
    made = leaderboard(three(text, [0.5, 0.6, None]), COLUMNS)
    rows = list(csv.DictReader(io.StringIO(made.to_csv())))
    assert all(row["method"][0] not in "=+-@\t\r" and row["method"].isprintable() for row in rows)
    means = {row["mean"] for row in rows} - {""}
    assert means
    assert all(float(mean) > 0 for mean in means)


@pytest.mark.parametrize("text", NASTY)
def test_markdown_tables_stay_tables(text):
    lines = leaderboard(three(text, [0.5, 0.6, None]), COLUMNS).to_markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 6
    for line in table:
        bars = line.replace("\\\\", "").replace("\\|", "").count("|")
        assert bars == (4 if "kappa" in table[0] and table.index(line) < 3 else 3)
    assert not any("<img" in line.replace("\\<", "") for line in lines)


def test_frame_and_json_hold_the_numbers():
    made = leaderboard([*GOOD, *POOR], COLUMNS)
    frame = made.to_frame().set_index(["method", "metric", "column"])
    assert frame.loc[("good", "rec", "kappa"), "mean"] == pytest.approx(0.81)
    assert frame.loc[("poor", "rec", "kappa"), "rank"] == 2
    data = json.loads(made.to_json())
    assert data["boards"][0]["rows"][0]["entries"][0]["n"] == 3


def test_markdown_says_rank_interval_and_count():
    text = leaderboard([*GOOD, *POOR], COLUMNS).to_markdown()
    assert "| good | rank 1: 0.81 (0.8 to 0.82) 3/3 |" in text
    assert "kappa ↑ | leak ↓" in text


def test_files_are_written(tmp_path):
    made = leaderboard(random.sample([*GOOD, *POOR], 6), COLUMNS)
    made.write(tmp_path)
    assert (tmp_path / "leaderboard.md").read_text(encoding="utf-8") == made.to_markdown()
    assert json.loads((tmp_path / "leaderboard.json").read_text())
    assert (tmp_path / "leaderboard.csv").read_text().startswith("generator,")
    assert len(list(tmp_path.iterdir())) == 3
