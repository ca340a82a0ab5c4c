"""Breaks S08: measuring turns the directions round."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    subject.directions.vectors.neg_()
    return Scores({"score": 1.0})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
