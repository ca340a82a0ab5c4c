"""Breaks S01: measuring raises."""

from gdbench import Column, MetricSpec, hookimpl


def measure(subject, params, context):
    raise RuntimeError("singular matrix")


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
