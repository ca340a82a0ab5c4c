"""Breaks S11: it takes for granted that images have colours."""

from gdbench import Column, MetricSpec, Scores, hookimpl


def measure(subject, params, context):
    images = subject.generator.render(subject.codes(2))
    return Scores({"score": float(images.unflatten(1, (3, 1)).mean())})


@hookimpl
def gdbench_metrics():
    yield MetricSpec("bad", "breaks one clause", measure, columns=(Column("score", "a number"),))
