"""Breaks M01: discovery raises."""

from gdbench import MethodSpec, hookimpl


def discover(generator, params, context):
    raise RuntimeError("diverged")


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
