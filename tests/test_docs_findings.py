"""docs/findings.md and README's answer are what docs/findings.py computes from the committed records."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest
from scipy.stats import friedmanchisquare

from gdbench.record import RunRecord

ROOT = Path(__file__).parent.parent
POOL = ROOT / "results" / "runs"


@pytest.fixture(scope="module")
def findings() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        return importlib.import_module("findings")


def test_the_page_and_the_first_screen_say_what_the_records_say(findings: ModuleType) -> None:
    made, groups = findings.read(POOL)
    there = [group for group in groups if group.methods]
    assert findings.page(made, there, POOL) == (ROOT / "docs" / "findings.md").read_text(encoding="utf-8"), (
        "run: python docs/findings.py"
    )
    assert findings.readme(made, there) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_every_generator_holds_differences_to_random_and_the_marks_of_the_boards(
    findings: ModuleType,
) -> None:
    made, groups = findings.read(POOL)
    groups = [group for group in groups if group.methods]
    _, _, *rows = findings.everywhere(groups, made).splitlines()
    cells = {row.split(" | ")[0].strip("| *"): [cell.strip(" |") for cell in row.split(" | ")[1:]] for row in rows}
    for place, group in enumerate(groups):
        random = fmean(group.column("random", "F1"))
        assert cells["random"][place] == f"*{random:.3f}*"
        for method in group.rivals:
            assert cells[method][place].strip("*")[:6] == f"{fmean(group.column(method, 'F1')) - random:+.3f}"
    above = sum("▲" in cell for row in cells.values() for cell in row)
    assert any(f"above random in F1 in {above} of " in line for line in findings.summary(made))


def test_a_test_over_generators_is_told_again_with_each_architecture_once(findings: ModuleType) -> None:
    """The least and the largest p, by scipy itself, over the three sngan on scenes one at a time."""
    made, groups = findings.read(POOL)
    boards = {group.name: group for group in groups if group.methods}
    families = ["stylegan2/scenes32", "biggan/scenes32", "progan/scenes32", "sngan/mnist32"]
    p = []
    for sngan in ("sngan/scenes32", "sngan/scenes32-d64", "sngan/scenes32-d32"):
        five = [boards[name] for name in (*families, sngan)]
        p.append(friedmanchisquare(*([fmean(b.column(m, "recall")) for b in five] for m in five[0].rivals)).pvalue)
    (said,) = findings.once(list(boards.values()), made)
    assert f"5 generators in all, p is, whichever it is: recall {min(p):.2g} to {max(p):.2g}, " in said


def test_the_table_of_spaces_is_what_the_records_say(findings: ModuleType) -> None:
    page = (ROOT / "docs" / "bring-your-own-gan.md").read_text(encoding="utf-8")
    assert findings.spaces.table(findings.spaces.read(POOL)) in page, "run: python docs/spaces.py"


@pytest.fixture(scope="module")
def shown(findings: ModuleType) -> list[object]:
    return [group for group in findings.read(POOL)[1] if group.name in findings.SHOWN]


def changed(run: RunRecord, metric: str, **values: float) -> RunRecord:
    """The run with other numbers in some columns of a metric."""
    own = run.scores[metric]
    made = {**own, **{column: replace(own[column], value=value) for column, value in values.items()}}
    return replace(run, scores={**run.scores, metric: made})


def test_a_planted_cost_of_reuse_is_told_as_it_is(findings: ModuleType, shown: list) -> None:
    """Without reuse .02 more precision for each seed: the paired difference is -.02, and certain."""
    five = shown[0].runs["voynov"]
    once = []
    for run in five:
        more = {name: run.scores["recovery"][name].value + 0.02 for name in ("precision", "F1")}
        other = changed(run, "recovery", **more)
        once.append(replace(other, cell=replace(run.cell, method_params={**run.cell.method_params, "reuse": 1})))
    (said,) = findings.reuse(shown[:1], [*five, *once])
    assert "precision -0.020 (-0.020 to -0.020), F1 -0.020 (-0.020 to -0.020)" in said
    assert list(findings.reuse(shown[:1], five)) == []


def test_methods_asked_for_j_directions_stand_beside_their_first_j(findings: ModuleType, shown: list) -> None:
    run = changed(shown[0].runs["voynov"][0], "recovery", F1=0.625)
    (said,) = findings.anew(shown, [run])
    assert "voynov 0.625 (1 seed; " in said
    assert shown[0].name in said


def test_pairs_of_one_architecture_are_told_apart_from_others(findings: ModuleType, shown: list) -> None:
    """A board beside itself under another name agrees wholly, and is no stranger."""
    own, *rest = findings.generators_agree([shown[0], replace(shown[0], name="twin")])
    assert own.startswith(
        "Rank correlations of the 1 pair of boards that share architecture, space and domain: median 1.00"
    )
    assert rest == []
    _, other = findings.generators_agree(shown)
    assert other.startswith("Rank correlations of the 1 pair of boards that differ in at least one of these")


def test_orders_at_two_budgets_are_compared_at_the_seeds_they_share(findings: ModuleType, shown: list) -> None:
    """Planted: ten times the images turn the order round; a seed that quick lacks counts for nothing."""
    group = shown[0]
    first = {method: run for method in group.rivals if (run := group.runs[method][0]).cell.seed == 0}
    made = [changed(run, "recovery", F1=0.5 - run.scores["recovery"]["F1"].value) for run in first.values()]
    enough = importlib.import_module("findings_orders").ENOUGH
    assert len(made) >= enough
    other = replace(changed(made[0], "recovery", F1=1.0), cell=replace(made[0].cell, seed=77))
    (said,) = findings.tiers_agree(shown, [*made, other])
    assert said.startswith(f"On {group.name} ")
    assert said.endswith("rank correlation -1.00.")
    assert "1.000" not in said
    assert list(findings.tiers_agree(shown, made[: enough - 1])) == []


def test_budgets_are_drawn_from_three_points_on(findings: ModuleType, shown: list, tmp_path: Path) -> None:
    run = shown[0].runs["voynov"][0]
    points = [changed(run, "cost", images=10.0**power) for power in (3, 4, 5)]
    assert findings.enough(points)
    assert not findings.enough(points[:2])
    findings.curves(shown, points, tmp_path / "drawn.png")
    findings.curves(shown, [], tmp_path / "empty.png")
    drawn, empty = ((tmp_path / f"{name}.png").read_bytes() for name in ("drawn", "empty"))
    assert drawn[:4] == empty[:4] == b"\x89PNG"
    assert drawn != empty


def test_the_slope_of_f1_over_doublings_is_the_planted_one(findings: ModuleType, shown: list) -> None:
    checks = importlib.import_module("findings_checks")
    run = shown[0].runs["voynov"][0]
    points = [
        changed(changed(run, "cost", images=1000.0 * 2**step), "recovery", F1=0.1 + 0.02 * step) for step in range(5)
    ]
    assert list(checks.doublings(shown[:1], points)) == [
        "On sngan/scenes32 each doubling of the budget changes F1 by: voynov +0.020 (+0.020 to +0.020)."
    ]
    assert list(checks.doublings(shown[:1], points[:3])) == []


def with_params(run: RunRecord, **values: object) -> RunRecord:
    """The run as if its method had had other parameters."""
    return replace(run, cell=replace(run.cell, method_params={**run.cell.method_params, **values}))


def test_a_planted_better_setting_is_named_and_a_gain_below_the_least_is_none(shown: list) -> None:
    checks = importlib.import_module("findings_checks")
    runs = []
    for method, gain in (("voynov", 0.05), ("disco", 0.01)):
        run = changed(shown[0].runs[method][0], "recovery", F1=0.2)
        better = changed(run, "recovery", F1=0.2 + gain)
        runs += [run, with_params(better, lr=9.0), with_params(changed(run, "recovery", F1=0.1), lr=8.0)]
    runs.append(
        with_params(shown[0].runs["latentclr"][0], lr=7.0)
    )  # its default is missing: no setting to compare with
    lines = list(checks.fairness(runs, 0.02))
    assert lines == [
        "For 1 of 2 learned methods (disco) none of the 4 other settings is better in F1 than the default by more than "
        "0.020.",
        "voynov gains 0.050 with `lr=9.0` at one seed: its rows on the boards are of the default.",
    ]
    rows = checks.settings(runs).splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows[:3]] == ["default", "`lr=9.0`", "`lr=8.0`"]


def test_a_setting_gains_by_the_mean_over_the_seeds_it_shares_with_the_default(shown: list) -> None:
    checks = importlib.import_module("findings_checks")
    first, second, third = shown[0].runs["voynov"]
    default = [changed(first, "recovery", F1=0.2), changed(second, "recovery", F1=0.3)]
    better = [changed(first, "recovery", F1=0.25), changed(second, "recovery", F1=0.32)]
    runs = [*default, *(with_params(run, lr=9.0) for run in (*better, changed(third, "recovery", F1=0.9)))]
    *_, line = checks.fairness(runs, 0.02)
    assert line.startswith("voynov gains 0.035 with `lr=9.0` over 2 seeds")
    cells = [row.strip("| ").split(" | ") for row in checks.settings(runs).splitlines()[2:]]
    assert [(name, seeds, f1) for _, name, seeds, _, _, f1, _ in cells] == [
        ("default", "0 1", "0.250"),
        ("`lr=9.0`", "0 1 2", "0.490"),
    ]


def test_the_papers_own_number_stands_by_kind_of_directions(shown: list) -> None:
    checks = importlib.import_module("findings_checks")
    own = shown[0].runs

    def read(run: RunRecord, accuracy: float) -> RunRecord:
        score = replace(run.scores["recovery"]["F1"], value=accuracy)
        return replace(run, scores={**run.scores, "rca_paper": {"accuracy": score}})

    runs = [read(own["random"][seed], 0.25 + seed / 10) for seed in range(3)]
    runs += [read(run, 0.5) for run in own["voynov"]]
    assert list(checks.paper_rca(runs)) == []
    runs += [with_params(read(run, 0.75), reuse=1) for run in own["voynov"]]
    (line,) = checks.paper_rca(runs)
    assert "learned as published 0.750" in line
    assert (
        line.index("0.750")
        < line.index("learned with five pairs an image 0.500")
        < line.index("random directions 0.350")
    )


def test_saliency_says_who_is_best_and_that_equal_ones_cannot_be_told_apart(shown: list) -> None:
    checks = importlib.import_module("findings_checks")
    planted = {"voynov": (0.8, 0.81, 0.79), "random": (0.3, 0.31, 0.32), "disco": (0.31, 0.3, 0.32)}

    def runs(**iou: tuple[float, ...]) -> list[RunRecord]:
        made = []
        for method, values in iou.items():
            for run, value in zip(shown[0].runs[method], values, strict=False):
                score = replace(run.scores["recovery"]["F1"], value=value)
                columns = dict.fromkeys(("IoU", "score", "ceiling_supervised"), score)
                made.append(replace(run, scores={**run.scores, "saliency": columns}))
        return made

    (best,) = checks.whitened(runs(**planted), 0.0)
    assert "voynov is best: standard deviation of IoU between seeds 0.01, and of 9 runs 3 have" in best
    assert best.endswith("over these runs: 1.00.")
    (equal,) = checks.whitened(runs(random=planted["random"], disco=planted["disco"]), 0.0)
    assert "random and disco cannot be told apart" in equal or "disco and random cannot be told apart" in equal
    (close,) = checks.whitened(runs(**planted), 0.6)
    assert "cannot be told apart" in close
    assert (
        checks.saliency(runs(**planted)).splitlines()[2].startswith("| sngan/scenes32 | voynov | 0.80 0.81 0.79 | 0.8")
    )
    assert list(checks.whitened(runs(voynov=planted["voynov"]), 0.0)) == []


def test_the_same_directions_measured_again_have_the_planted_spread(shown: list) -> None:
    checks = importlib.import_module("findings_checks")
    score = shown[0].runs["voynov"][0].scores["recovery"]["F1"]
    source = "results/runs/sngan-scenes32-voynov-s0-b0474809"
    runs = [
        replace(with_params(run, source=source), scores={"saliency": {"IoU": replace(score, value=value)}})
        for run, value in zip(shown[0].runs["random"], (0.5, 0.6, 0.7), strict=False)
    ]
    (line,) = checks.remeasured(runs)
    assert line.startswith("The directions of `sngan-scenes32-voynov-s0-b0474809` under 3 evaluation seeds")
    assert line.endswith("IoU 0.50 to 0.70, standard deviation 0.10.")
    assert list(checks.remeasured(runs[:2])) == []


def test_a_rank_correlation_stands_with_the_interval_that_can_be_worked_out_by_hand() -> None:
    runs = importlib.import_module("findings_runs")
    # sum of squared differences 60: rho = 1 - 6 * 60 / 720; z = atanh(.5) ± 1.95996 * sqrt((1 + .125) / 6)
    assert runs.correlation(range(1, 10), [6, 3, 2, 4, 5, 1, 9, 8, 7]) == "0.50 (-0.29 to 0.88)"
    assert runs.correlation(range(5), range(5)) == "1.00"
