"""Offers a generator under the name of a built-in one."""

from gdbench import GeneratorSpec, hookimpl


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("toy", "not the toy", print)
