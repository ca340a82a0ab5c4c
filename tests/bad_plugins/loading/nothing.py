"""A hook that returns nothing."""

from gdbench import hookimpl


@hookimpl
def gdbench_domains():
    pass
