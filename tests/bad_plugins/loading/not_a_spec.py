"""Text where a spec belongs, beside a spec that is right."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return LinearDirections(rows, context.space)


@hookimpl
def gdbench_methods():
    yield "spread"
    yield MethodSpec("spread", "random directions", discover)
