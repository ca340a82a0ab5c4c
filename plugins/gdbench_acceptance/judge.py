"""The matrix of PROTOCOL section 6: every test, the columns that it holds for, and the numbers that decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from gdbench_acceptance.discover import BACKWARD, IMAGES
from gdbench_acceptance.runs import Runs, mean

COLUMNS = (
    "reconstruction.kappa",
    "factors.coverage",
    "factors.disentanglement",
    "factors.completeness",
    "diversity.rank_image",
    "path.straightness",
    "realism.kid_30",
    "naturalness.naturalness",
    "saliency.IoU",
    "cost.images",
    "cost.backward",
    "rca_paper.accuracy",
    "observational.dci_disentanglement",
)
"""What is judged: the columns that rank, those that could, and one of each other metric."""

LOWER = ("realism.kid_30",)
FACTORS = ("factors.coverage", "factors.disentanglement", "factors.completeness")
ALMOST_NOTHING = 0.1  # of what the supervised directions score; of naturalness, whose largest is 1
CEILINGS = {
    "reconstruction.kappa": 0.95,
    "factors.coverage": 1.0,
    "factors.disentanglement": 0.9,
    "factors.completeness": 0.9,
}
PLANTED = ("toy", "planted")

Verdict = Literal["passes", "fails", "cannot tell", "does not apply", "not measured"]


@dataclass(frozen=True)
class Evidence:
    """What one generator says: the numbers as text. passed: None where a broken metric would give the same numbers."""

    generator: str
    passed: bool | None
    numbers: str


Judge = Callable[[Runs, str], Iterable[Evidence]]


@dataclass(frozen=True)
class Test:
    """A test of section 6 and the columns it holds for; ``judge`` yields nothing where runs are missing."""

    name: str
    columns: tuple[str, ...]
    judge: Judge


@dataclass(frozen=True)
class Cell:
    """The verdict of one test on one column."""

    test: str
    column: str
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()


def matrix(runs: Runs) -> tuple[Cell, ...]:
    """All cells, tests within columns."""
    return tuple(cell(runs, test, column) for column in COLUMNS for test in TESTS)


def cell(runs: Runs, test: Test, column: str) -> Cell:
    """The verdict of one test on one column: it passes where it passes on every generator that can tell."""
    if column not in test.columns:
        return Cell(test.name, column, "does not apply")
    evidence = tuple(test.judge(runs, column))
    told = [found.passed for found in evidence if found.passed is not None]
    if not told:
        return Cell(test.name, column, "cannot tell" if evidence else "not measured", evidence)
    return Cell(test.name, column, "passes" if all(told) else "fails", evidence)


def above(better: str, worse: str, suffix: str, runs: Runs, column: str) -> Iterator[Evidence]:
    """Is method ``better`` better than ``worse`` (on the generator with this suffix) by more than two deviations?"""
    deviation = runs.deviation(column)
    for generator in runs.generators:
        first = runs.numbers(generator, better, column)
        second = runs.numbers(generator + suffix, worse, column)
        if first and second and deviation is not None:
            apart = (mean(first) - mean(second)) * (-1 if column in LOWER else 1)
            numbers = f"{better} {mean(first):.3g}, {worse} {mean(second):.3g}, s.d. {deviation:.2g}"
            yield Evidence(generator, apart > 2 * deviation, numbers)


def dead(runs: Runs, column: str) -> Iterator[Evidence]:
    """Is nothing scored where all directions are dead, and less than by the fixed random ones where half of them are?

    A metric that drops the dead passes the first and fails the second. The second is not asked of a score that is about
    zero for the fixed random directions already.
    """
    deviation = runs.deviation(column)
    for generator in runs.generators:
        for value in runs.numbers(generator, "dead", column):
            yield Evidence(generator, value <= 1e-9, f"all dead {value:.3g}")
        fixed = runs.numbers(generator, "steady", column)
        if deviation is not None and fixed and mean(fixed) > 2 * deviation:
            for value in runs.numbers(generator, "half-dead", column):
                numbers = f"half dead {value:.3g}, steady {mean(fixed):.3g}, s.d. {deviation:.2g}"
                yield Evidence(generator, mean(fixed) - value > 2 * deviation, numbers)


def shuffled(runs: Runs, column: str) -> Iterator[Evidence]:
    """Is what has no truth about zero, or void? Naturalness: sides that a coin swaps. Others: true directions, in a
    domain that answers for another image, beside the supervised ones of the true domain; where these are about zero
    themselves, nothing can be told. The gate of saliency, its supervised direction, must fail.
    """
    deviation = runs.deviation(column)
    for generator in runs.generators:
        if column == "naturalness.naturalness":
            for value in runs.numbers(generator, "tossed", column):
                yield Evidence(generator, abs(value) <= ALMOST_NOTHING, f"tossed {value:.3g}")
        supervised = runs.numbers(generator, "oracle-linear", column)
        for run in runs.of(f"{generator}-shuffled", "guided", column):
            score = run.values[column]
            if score is None:
                yield Evidence(generator, True, f"void: {run.reasons[column]}")
            elif supervised and deviation is not None:
                bar = max(2 * deviation, ALMOST_NOTHING * mean(supervised))
                numbers = f"shuffled {score:.3g}, supervised {mean(supervised):.3g}, s.d. {deviation:.2g}"
                told = max(abs(score), mean(supervised)) > bar
                yield Evidence(generator, abs(score) <= bar if told else None, numbers)


def planted(runs: Runs, column: str) -> Iterator[Evidence]:
    """Do the planted directions of the toy reach the ceiling?"""
    for value in runs.numbers(*PLANTED, column):
        yield Evidence(PLANTED[0], value >= CEILINGS[column], f"planted {value:.3g}, ceiling {CEILINGS[column]}")


def counted(runs: Runs, column: str) -> Iterator[Evidence]:
    """Is the count what a hand counts?"""
    right = IMAGES if column == "cost.images" else BACKWARD
    for generator in runs.generators:
        for value in runs.numbers(generator, "bent", column):
            yield Evidence(generator, value == right, f"counted {value:.0f}, by hand {right}")


def unmoved(runs: Runs, column: str) -> Iterator[Evidence]:
    """Are means over seeds of fixed random and scrambled directions within two deviations?"""
    deviation = runs.deviation(column)
    for generator in runs.generators:
        first = runs.numbers(generator, "steady", column)
        second = runs.numbers(generator, "scrambled", column)
        if first and second and deviation is not None:
            numbers = f"steady {mean(first):.3g}, scrambled {mean(second):.3g}, s.d. {deviation:.2g}"
            yield Evidence(generator, abs(mean(first) - mean(second)) <= 2 * deviation + 1e-9, numbers)


TESTS = (
    Test("supervised above random", (*FACTORS, "saliency.IoU"), partial(above, "oracle-linear", "steady", "")),
    Test(
        "random above duplicated",
        ("reconstruction.kappa", "diversity.rank_image"),
        partial(above, "steady", "duplicated", ""),
    ),
    Test(
        "dead directions fail",
        ("reconstruction.kappa", *FACTORS, "diversity.rank_image", "path.straightness"),
        dead,
    ),
    Test("shuffled truth is about zero", (*FACTORS, "saliency.IoU", "naturalness.naturalness"), shuffled),
    Test("planted directions reach the ceiling", ("reconstruction.kappa", *FACTORS), planted),
    Test("degraded images are worse", ("realism.kid_30",), partial(above, "steady", "degrading", "-noisy")),
    Test("a bent path is worse", ("path.straightness",), partial(above, "steady", "bent", "")),
    Test("counts equal a hand count", ("cost.images", "cost.backward"), counted),
    Test("sign, order and length change nothing", COLUMNS, unmoved),
)
