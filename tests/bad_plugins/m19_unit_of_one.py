"""Breaks M19: one step length for all directions, where each has its own."""

import torch

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return LinearDirections(rows, context.space, torch.ones(1))


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
