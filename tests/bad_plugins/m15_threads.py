"""Breaks M15: discovery changes the number of threads."""

import torch

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    torch.set_num_threads(torch.get_num_threads() + 1)
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return LinearDirections(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
