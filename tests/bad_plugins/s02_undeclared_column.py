"""Breaks S02: a column that the spec does not declare."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    return Scores({"score": 1.0, "bonus": 2.0})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
