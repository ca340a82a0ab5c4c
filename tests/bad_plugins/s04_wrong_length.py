"""Breaks S04: fewer numbers than directions."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    return Scores({"score": 1.0}, {"effect": [0.5] * (subject.k - 1)})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
