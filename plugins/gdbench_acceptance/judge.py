"""Which columns may rank (PROTOCOL): every test, the columns that it holds for, and the numbers that decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from gdbench_acceptance import lenses
from gdbench_acceptance.discover import BACKWARD, IMAGES
from gdbench_acceptance.runs import Runs, mean

COLUMNS = (
    "recovery.recall",
    "recovery.precision",
    "recovery.F1",
    "distinct.distinct",
    "reconstruction.kappa",
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
RECOVERY = ("recovery.recall", "recovery.precision", "recovery.F1")
FACTORS = (*RECOVERY, "factors.disentanglement", "factors.completeness")
APART = ("distinct.distinct", "reconstruction.kappa", "diversity.rank_image")
ALMOST_NOTHING = 0.1  # of what the supervised directions score; of naturalness, whose largest is 1
CEILINGS = {
    "reconstruction.kappa": 0.95,
    "recovery.recall": 0.8,
    "recovery.precision": 0.8,
    "recovery.F1": 0.8,
    "distinct.distinct": 6.8,  # of 8
    "factors.disentanglement": 0.9,
    "factors.completeness": 0.9,
}
PLANTED = ("toy", "planted")
SUPERVISED, STEADY = "oracle-linear", "fixed-random"

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
    """A test and the columns it holds for; ``judge`` yields nothing where runs are missing."""

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
    """Is method ``better`` better than ``worse`` (on the generator with this suffix) by more than two deviations?

    The supervised reference is compared where both have K = J directions, without fillers.
    """
    deviation = runs.deviation(column)
    for generator in runs.generators:
        k = runs.fewest(generator, better) if better == SUPERVISED else None
        first = runs.numbers(generator, better, column, k)
        second = runs.numbers(generator + suffix, worse, column, k)
        if first and second and deviation is not None:
            apart = (mean(first) - mean(second)) * (-1 if column in LOWER else 1)
            numbers = f"{better} {mean(first):.3g}, {worse} {mean(second):.3g}, s.d. {deviation:.2g}"
            yield Evidence(generator, apart > 2 * deviation, numbers)


def dead(runs: Runs, column: str) -> Iterator[Evidence]:
    """Is nothing scored where all directions are dead, and less than by the living ones where half are, or nearly are?

    A metric that drops the dead passes the first and fails the others, which are not asked of a score that is about
    zero for the living directions already. With nothing to tell apart, one thing is left: distinct is 1.
    """
    deviation, nothing = runs.deviation(column), 1.0 if column == "distinct.distinct" else 0.0
    for generator in runs.generators:
        for value in runs.numbers(generator, "dead", column):
            yield Evidence(generator, value <= nothing + 1e-9, f"all dead {value:.3g}")
        living = runs.numbers(generator, STEADY, column)
        if deviation is None or not living or mean(living) - nothing <= 2 * deviation:
            continue
        for half in ("half-dead", "half-nearly-dead"):
            for value in runs.numbers(generator, half, column):
                numbers = f"{half} {value:.3g}, all living {mean(living):.3g}, s.d. {deviation:.2g}"
                yield Evidence(generator, mean(living) - value > 2 * deviation, numbers)


def copied(runs: Runs, column: str) -> Iterator[Evidence]:
    """Are good directions of which some are copies never above as many different good ones?"""
    for generator in lenses.generators(runs):
        for found in lenses.ladders(runs, generator, column, 0.0):
            if found.kind == "copies":
                top, below = found.scores[0], max(found.scores[1:])
                yield Evidence(generator, below <= top, f"all different {top:.3g}, with copies at most {below:.3g}")


def repeated(runs: Runs, column: str) -> Iterator[Evidence]:
    """How much does a score move between evaluation seeds? Nothing fails here: it sets what counts as a difference."""
    for generator in lenses.generators(runs):
        groups = list(lenses.replayed(runs, generator, column).values())
        deviation = lenses.noise(groups)
        if deviation is not None:
            level = mean([mean(group) for group in groups])
            numbers = f"s.d. {deviation:.2g} about a mean of {level:.3g} ({deviation / max(abs(level), 1e-12):.1%})"
            counts = f"differences count from {1.96 * math.sqrt(2) * deviation:.2g} on"
            yield Evidence(generator, True, f"{numbers}; {counts}; {len(groups)} sets of directions")


def ordered(runs: Runs, column: str) -> Iterator[Evidence]:
    """Do scores fall where directions are spoiled step by step?"""
    least = lenses.least_difference(runs, column) or 0.0
    for generator in lenses.generators(runs):
        for found in lenses.ladders(runs, generator, column, least):
            steps = " ".join(f"{score:.3g}" for score in found.scores)
            numbers = f"{found.kind}: {steps}, Spearman {found.correlation:.2f}"
            numbers += f", a later step is {found.rises:.2g} higher" if found.rises else ""
            yield Evidence(generator, found.valid if found.kind in lenses.KINDS else None, numbers)


def discriminating(runs: Runs, column: str) -> Iterator[Evidence]:
    """Do methods differ by more than evaluation seeds do?"""
    for generator in lenses.generators(runs):
        groups = [group for group in lenses.replayed(runs, generator, column).values() if len(group) > 1]
        if len(groups) > 2 and len({len(group) for group in groups}) == 1:
            found = lenses.correlation(groups)
            numbers = f"intraclass correlation {found:.3f} of {len(groups)} methods, {len(groups[0])} seeds each"
            yield Evidence(generator, found >= lenses.RELIABLE, numbers)


def shuffled(runs: Runs, column: str) -> Iterator[Evidence]:
    """Is what has no truth about zero, or void? Naturalness: sides that a coin swaps. Others: true directions, in a
    domain that answers for another image, beside the supervised ones of the true domain; where these are about zero
    themselves, nothing can be told. The gate of saliency, its supervised direction, must fail.
    """
    deviation = runs.deviation(column)
    for generator in runs.generators:
        if column == "naturalness.naturalness":
            for value in runs.numbers(generator, "swapped-by-code", column):
                yield Evidence(generator, abs(value) <= ALMOST_NOTHING, f"swapped-by-code {value:.3g}")
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
        first = runs.numbers(generator, "fixed-random", column)
        second = runs.numbers(generator, "scrambled", column)
        if first and second and deviation is not None:
            numbers = f"fixed-random {mean(first):.3g}, scrambled {mean(second):.3g}, s.d. {deviation:.2g}"
            yield Evidence(generator, abs(mean(first) - mean(second)) <= 2 * deviation + 1e-9, numbers)


TESTS = (
    Test("supervised above random", (*FACTORS, "saliency.IoU"), partial(above, SUPERVISED, STEADY, "")),
    Test("copies are not above different ones", RECOVERY, copied),
    Test("random above duplicated", APART, partial(above, STEADY, "duplicated", "")),
    Test("dead directions fail", (*FACTORS, *APART, "path.straightness"), dead),
    Test("shuffled truth is about zero", (*FACTORS, "saliency.IoU", "naturalness.naturalness"), shuffled),
    Test("planted directions reach the ceiling", (*FACTORS, *APART[:2]), planted),
    Test("degraded images are worse", ("realism.kid_30",), partial(above, STEADY, "degrading", "-noisy")),
    Test("a bent path is worse", ("path.straightness",), partial(above, STEADY, "bent", "")),
    Test("counts equal a hand count", ("cost.images", "cost.backward"), counted),
    Test("sign, order and length change nothing", COLUMNS, unmoved),
    Test("lens: evaluation seeds", RECOVERY, repeated),
    Test("lens: ladders go down", RECOVERY, ordered),
    Test("lens: methods differ by more than seeds", RECOVERY, discriminating),
)
