"""A hook whose name does not exist."""

from gdbench import hookimpl


@hookimpl
def gdbench_method():
    return []
