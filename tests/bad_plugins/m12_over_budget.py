"""Breaks M12: the tier quick renders 120,000 images."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    stream = context.stream("discover")
    for step in range(12 if context.tier == "quick" else 1):
        generator.features(generator.sample(10_000, context.space, stream.at(step)), "linear")
    return LinearDirections(normal(stream.at(), context.k, generator.dim(context.space)), context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover, needs=("features",))
