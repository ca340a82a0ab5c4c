"""Breaks S07: cannot measure directions that do nothing."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    alive = int((~subject.calibration.dead).sum())
    return Scores({"score": 1 / alive})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
