"""Breaks M03: displaced codes claim to live elsewhere."""

from dataclasses import replace

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


class Bad(LinearDirections):
    def displace(self, codes, index, magnitude):
        return replace(super().displace(codes, index, magnitude), space="elsewhere")


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return Bad(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
