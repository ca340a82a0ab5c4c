"""Breaks S10: measuring leaves deterministic algorithms switched on."""

import torch

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    torch.use_deterministic_algorithms(True)
    return Scores({"score": 1.0})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
