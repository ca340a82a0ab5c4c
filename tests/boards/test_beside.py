"""A run's headline numbers in one line: its own, and means of the baseline on the same generator alone."""

from __future__ import annotations

from dataclasses import replace

from gdbench.boards.beside import beside
from gdbench.record import RunRecord, Score
from tests.report.synthetic import COLUMNS, record

CHANCE = [record("chance", seed, 0.2 + 0.01 * seed) for seed in range(3)]


def test_the_numbers_stand_beside_means_of_the_baseline() -> None:
    """reach and both are the same number in these records; purity is .5 and .01 more for each seed."""
    told = beside(record("alpha", 1, 0.6), COLUMNS, CHANCE)
    assert told == "reach .600, purity .510, both .600 (chance .210, .510, .210)"
    assert beside(record("alpha", 0, 0.0), COLUMNS, []) == "reach 0, purity .500, both 0"
    assert beside(CHANCE[0], COLUMNS, CHANCE) == "reach .200, purity .500, both .200"
    assert beside(record("alpha", 0, None, status="failed"), COLUMNS, CHANCE) == ""
    assert beside(record("alpha", 0, None), COLUMNS, CHANCE) == "purity .500 (chance .510)"


def test_baselines_of_other_boards_and_versions_are_left_out() -> None:
    def cell(**more: object) -> RunRecord:
        return replace(CHANCE[0], cell=replace(CHANCE[0].cell, **more))  # type: ignore[arg-type]

    others = [cell(k=8), cell(space="w"), cell(tier="quick"), cell(checkpoint="large"), cell(generator_params={})]
    others.append(replace(CHANCE[0], versions={**CHANCE[0].versions, "metric:known": 2}))
    others.append(replace(CHANCE[0], checkpoint_sha256="other"))
    others.append(replace(CHANCE[0], scores={"known": {"reach": Score(0.9)}}))
    assert beside(record("alpha", 0, 0.6), COLUMNS, others) == "reach .600, purity .500, both .600"
