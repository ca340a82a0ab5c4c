"""Breaks S05: the score grows with every call."""

from itertools import count

from gdbench import Column, MetricSpec, Scores, hookimpl

CALLS = count()


def measure(subject, params, context):
    return Scores({"score": float(next(CALLS))})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
