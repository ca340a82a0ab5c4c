"""Offers a method that another plugin offers too."""

from gdbench import MethodSpec, hookimpl


@hookimpl
def gdbench_methods():
    yield MethodSpec("twin", "from one", print)
