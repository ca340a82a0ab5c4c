"""Breaks M17: said to work in w, where it refuses."""

from gdbench import LinearDirections, MethodSpec, UsageError, hookimpl, normal


def discover(generator, params, context):
    if context.space == "w":
        raise UsageError("only z")
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return LinearDirections(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover, spaces=("z", "w"))
