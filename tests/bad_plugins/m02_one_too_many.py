"""Breaks M02: K + 1 directions."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k + 1, generator.dim(context.space))
    return LinearDirections(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
