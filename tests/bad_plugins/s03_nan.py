"""Breaks S03: a score that is not a number, without a reason."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    return Scores({"score": float("nan")})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
