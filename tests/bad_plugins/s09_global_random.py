"""Breaks S09: the score is drawn from numpy's global generator."""

import numpy as np

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    return Scores({"score": float(np.random.rand())})  # noqa: NPY002


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
