"""Breaks M14: directions are drawn from torch's global generator."""

import torch

from gdbench import LinearDirections, MethodSpec, hookimpl


def discover(generator, params, context):
    return LinearDirections(torch.randn(context.k, generator.dim(context.space)), context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
