"""Breaks M18: it takes for granted that images have colours."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    stream = context.stream("discover")
    generator.render(generator.sample(2, context.space, stream.at(1))).unflatten(1, (3, 1))
    return LinearDirections(normal(stream.at(), context.k, generator.dim(context.space)), context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
