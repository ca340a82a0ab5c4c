"""A hook that raises."""

from gdbench import hookimpl


@hookimpl
def gdbench_metrics():
    raise ZeroDivisionError("no columns")
