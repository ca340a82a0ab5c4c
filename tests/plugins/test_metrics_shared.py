"""Edited images of one call are rendered once, whatever reads them (PROTOCOL, "What runs by default")."""

from __future__ import annotations

from dataclasses import replace

import gdbench_metrics.diversity
import gdbench_metrics.factors
import gdbench_metrics.observational
from gdbench_metrics.params import FactorsParams, ObservationalParams

from gdbench import NoParams, Subject
from gdbench.runs.counting import Counted
from tests.plugins.metrics_subjects import PLANTED, TOY, context, subject

K, N, SAMPLES = 4, 16, 300
METRICS = (
    (gdbench_metrics.diversity.measure, NoParams()),
    (gdbench_metrics.factors.measure, FactorsParams()),  # the gates of both metrics are those of its defaults
    (gdbench_metrics.observational.measure, ObservationalParams(samples=SAMPLES)),
)
EDITS = N * (2 * K + 1)


def rendered(shared: bool) -> list[int]:
    """Images that each metric renders, with one subject for all or with one each."""
    counted = Counted(TOY)
    fresh = replace(subject(PLANTED[:K], n=N), generator=counted, _kept={})  # type: ignore[arg-type]
    counts = []
    for measure, params in METRICS:
        before = counted.images
        each: Subject = fresh if shared else replace(fresh, _kept={})
        measure(each, params, context(K))  # type: ignore[arg-type, operator]
        counts.append(counted.images - before)
    return counts


def test_edits_are_rendered_once_for_all_metrics() -> None:
    together, apart = rendered(shared=True), rendered(shared=False)
    assert together[0] == apart[0] == EDITS
    assert together[1] == apart[1] - EDITS
    assert together[2] == SAMPLES  # the gates are there
    assert apart[2] == SAMPLES + apart[1] - EDITS  # and are the rest of what factors renders
