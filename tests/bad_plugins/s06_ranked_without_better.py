"""Breaks S06: methods are ranked by a column of which neither end is better."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    return Scores({"score": 1.0})


@hookimpl
def gdbench_metrics():
    yield MetricSpec(
        "bad", "breaks one clause", measure, columns=(Column("score", "a number", better="neither", ranked=True),)
    )
