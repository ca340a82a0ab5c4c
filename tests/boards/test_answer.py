"""What a board says in sentences, each from its intervals and counts."""

from dataclasses import replace

import pytest

from gdbench.boards.answer import answer, summary
from gdbench.boards.leaderboard import leaderboard
from gdbench.boards.rules import Rules
from tests.boards.test_leaderboard import COLUMNS, GOOD, POOR, board, record, three

RANDOM = three("random", [0.5, 0.5, 0.51], role="control")
RULES = Rules(baselines=frozenset({"random"}))
PLACE = "On gan/small (space z, K = 4, up to 1,000,000 images)"


def said(records, rules=RULES):
    return answer(board(records, rules)).sentences


def test_one_leads():
    better = [*three("good", [0.8, 0.82, 0.81], leak=0.1), *POOR, *RANDOM]
    assert said(better) == (
        f"{PLACE}: good leads kappa and leak.",
        "1 of 2 is not above random in kappa: poor.",
    )


def test_ties_are_told_as_ties_and_columns_of_the_same_leaders_together():
    like = three("like", [0.82, 0.81, 0.8])
    assert said([*GOOD, *like, *POOR, *RANDOM])[0] == (
        f"{PLACE}: good and like lead kappa and cannot be told apart; no method is better than another in leak."
    )


def test_an_incomplete_method_that_is_better_than_all_leaves_no_leader():
    incomplete = three("unfinished", [0.99, 0.98])
    assert said([*GOOD, *POOR, *incomplete, *RANDOM])[0] == (
        f"{PLACE}: no ranked method leads kappa, since an incomplete one is better; "
        "no method is better than another in leak."
    )


@pytest.mark.parametrize(
    ("kappa", "sentence"),
    [
        (0.9, "All of 2 are above random in kappa."),
        (0.1, "None of 2 is above random in kappa."),
    ],
)
def test_all_and_none(kappa, sentence):
    runs = [run for name in ("a", "b") for run in three(name, [kappa, kappa + 0.01, kappa])]
    assert said([*runs, *RANDOM])[1] == sentence


def test_many_are_counted():
    runs = [run for name in "abcdefgh" for run in three(name, [0.5, 0.51, 0.5])]
    assert said([*runs, *RANDOM])[1] == "None of 8 is above random in kappa."
    assert said([*runs, *GOOD, *RANDOM])[1] == "8 of 9 are not above random in kappa: a, b, c, d and 4 more."


def test_who_is_missing():
    records = [*GOOD, record("half", 0, 0.9), *[record("gone", seed, status="failed") for seed in range(3)], *RANDOM]
    assert said(records)[-1] == "2 of 3 are incomplete or void, and not ranked: half and gone."


def test_where_nothing_ranks_it_says_why():
    paper = [replace(run, cell=replace(run.cell, tier="paper")) for run in [*GOOD, *POOR]]
    (sentence,) = said(paper)
    assert "nothing ranks: tier paper has no cap" in sentence
    assert answer(board([record("a", kappa=None)])).headline is not None  # leak has a number


def test_a_board_without_numbers_has_an_answer():
    made = answer(board([record("a", status="failed"), record("b", status="timeout")]))
    assert (made.headline, made.columns) == (None, ())
    assert [row.method for row in made.rows] == ["a", "b"]
    assert made.sentences == (f"{PLACE} nothing ranks.",)


def test_the_baseline_alone_is_no_comparison():
    assert not any("above" in sentence for sentence in said([*GOOD, *POOR], Rules()))


def test_all_boards_together():
    one = [*GOOD, *POOR, *RANDOM]
    two = [replace(run, id=f"{run.id}-x", cell=replace(run.cell, generator="x")) for run in one]
    three_ = [replace(run, id=f"{run.id}-y", cell=replace(run.cell, generator="y")) for run in [*POOR, *RANDOM]]
    made = leaderboard([*one, *two, *three_], COLUMNS, RULES)
    assert summary(made) == (
        "good leads kappa on gan/small in z.",
        "good leads kappa on x/small in z.",
        "poor leads kappa on y/small in z.",
        "Methods are above random in kappa in 2 of 5 cases, one for each method on each board.",
    )
    more = [replace(run, id=f"{run.id}-{n}", cell=replace(run.cell, generator=f"w{n}")) for run in one for n in "ab"]
    assert summary(leaderboard([*one, *two, *three_, *more], COLUMNS, RULES)) == (
        "Of 5 boards of 1 to 2 methods good leads 4 and poor 1, ties included.",
        "Alone stand good on 4 and poor on 1.",
        "Methods are above random in kappa in 4 of 9 cases, one for each method on each board.",
    )
    equal = [
        replace(run, id=f"{run.id}-{n}", cell=replace(run.cell, generator=f"w{n}")) for run in one for n in "abcde"
    ]
    assert summary(leaderboard(equal, COLUMNS, RULES))[0] == "Of 5 boards of 2 methods good leads 5, ties included."
    assert summary(leaderboard(one, COLUMNS, RULES)) == ()
