"""Clauses S: what every metric keeps. Each is tried with smoke parameters on random and on dead directions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from gdbench.protocols import Scores, Void
from gdbench.testing.cases import K, MetricCase, same, sampled
from gdbench.testing.results import Check, Failed, Unusable, expect

CLOCKS = ("seconds", "memory")
"""Columns that contain these words measure the machine, and need not repeat."""


def checks(subject: str, case: MetricCase) -> Iterator[Check]:
    """The checks of a metric."""
    yield Check(subject, "S01", check_metric_measures, case)
    yield Check(subject, "S02", check_metric_columns_are_declared, case)
    yield Check(subject, "S03", check_metric_values, case)
    yield Check(subject, "S04", check_metric_direction_columns, case)
    yield Check(subject, "S05", check_metric_repeats, case)
    yield Check(subject, "S06", check_metric_ranked_columns, case)
    yield Check(subject, "S07", check_metric_survives_dead_directions, case)
    yield Check(subject, "S08", check_metric_leaves_the_subject_alone, case)
    yield Check(subject, "S09", check_metric_uses_no_global_random_state, case)
    yield Check(subject, "S10", check_metric_leaves_the_process_alone, case)
    yield Check(subject, "S11", check_metric_measures_small_grey_images, case)


def check_metric_measures(case: MetricCase) -> None:
    """Measuring with smoke parameters ends, and returns Scores."""
    try:
        scores = case.scores
    except Unusable as error:
        expect(False, f"measure raised {error}")
    expect(isinstance(scores, Scores), f"measure must return Scores, got {type(scores).__name__}")


def check_metric_columns_are_declared(case: MetricCase) -> None:
    """The columns are exactly those of the spec."""
    declared = {column.name for column in case.offer.spec.columns}
    found = set(case.scores.values)
    expect(found == declared, f"returned {sorted(found)}, declared {sorted(declared)}")


def check_metric_values(case: MetricCase) -> None:
    """Each value is a finite number, or Void with a reason."""
    _expect_values(case.scores.values)


def check_metric_direction_columns(case: MetricCase) -> None:
    """Columns per direction hold one number for each direction."""
    for name, values in case.scores.directions.items():
        expect(len(values) == K, f"{name!r} has {len(values)} entries for {K} directions")


def check_metric_repeats(case: MetricCase) -> None:
    """Measuring the same subject again gives the same numbers, where they are not seconds or memory."""
    expect(case.observed.repeats(_equal), "two measurements of one subject differ")


def check_metric_ranked_columns(case: MetricCase) -> None:
    """A column by which methods are ranked says whether higher or lower is better."""
    undecided = [c.name for c in case.offer.spec.columns if c.ranked and c.better not in ("higher", "lower")]
    expect(not undecided, f"ranked, but without a better direction: {', '.join(undecided)}")


def check_metric_survives_dead_directions(case: MetricCase) -> None:
    """Directions that do nothing are measured too: a number, or Void with a reason, never an error."""
    try:
        scores = case.measure(case.dead)
    except Unusable as error:
        if _usable(case):
            expect(False, f"raised {error}")
        raise
    if _valid(case.scores.values):
        _expect_values(scores.values)


def check_metric_leaves_the_subject_alone(case: MetricCase) -> None:
    """Measuring leaves the generator and the directions as they were."""
    codes, directions = sampled(case.generator, 4), case.directions
    index, magnitude = torch.arange(4), torch.ones(4)
    images = case.generator.render(codes).detach()
    moved = directions.displace(codes, index, magnitude).latents.clone()
    case.measure()
    expect(same(images, case.generator.render(codes).detach()), "the generator renders other images than before")
    expect(same(moved, directions.displace(codes, index, magnitude).latents), "the directions changed")


def check_metric_uses_no_global_random_state(case: MetricCase) -> None:
    """Measuring neither draws from nor seeds torch's, numpy's or Python's global generators."""
    observed = case.observed
    expect(not observed.random, f"{', '.join(observed.random)} changed")
    expect(not observed.uses_global_seed(_equal), "the global seed changes the numbers")


def check_metric_leaves_the_process_alone(case: MetricCase) -> None:
    """Threads, gradient mode, default dtype, working directory and environment stay as they were."""
    expect(not case.observed.process, f"{', '.join(case.observed.process)} changed")


def check_metric_measures_small_grey_images(case: MetricCase) -> None:
    """A generator of grey 24 x 24 images is measured too: a number, or Void with a reason, never an error."""
    try:
        scores = replace(case, small=True).measure()
    except Unusable as error:
        if _usable(case):
            raise Failed(f"on images of 1 x 24 x 24 it raised {error}") from error
        raise
    if _valid(case.scores.values):
        _expect_values(scores.values)


def _expect_values(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Void):
            expect(bool(value.reason.strip()), f"{name!r} is void without a reason")
        else:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            expect(number, f"{name!r} is a {type(value).__name__}, expected a float or Void")
            expect(math.isfinite(value), f"{name!r} is {value}: return Void with the reason")


def _valid(values: Mapping[str, Any]) -> bool:
    try:
        _expect_values(values)
    except AssertionError:
        return False
    return True


def _usable(case: MetricCase) -> bool:
    try:
        return case.scores is not None
    except Unusable:
        return False


def _equal(a: Scores, b: Scores) -> bool:
    return _comparable(a.values) == _comparable(b.values) and _comparable(a.directions) == _comparable(b.directions)


def _comparable(columns: Mapping[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in columns.items() if not any(word in name for word in CLOCKS)}
