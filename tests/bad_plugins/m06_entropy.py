"""Breaks M06: directions come from the operating system's entropy."""

import numpy as np

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    rows = normal(np.random.default_rng(), context.k, generator.dim(context.space))
    return LinearDirections(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
