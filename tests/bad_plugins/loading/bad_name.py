"""A name that could leave its folder."""

from gdbench import MethodSpec, hookimpl


@hookimpl
def gdbench_methods():
    yield MethodSpec("../etc", "a name with a slash", print)
