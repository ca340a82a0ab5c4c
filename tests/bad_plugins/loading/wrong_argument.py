"""A hook with an argument that it is not given."""

from gdbench import hookimpl


@hookimpl
def gdbench_run_finished(record, directory):
    pass
