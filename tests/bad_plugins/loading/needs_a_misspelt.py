"""A metric that needs a capability which nobody declares."""

from gdbench import Column, MetricSpec, hookimpl


@hookimpl
def gdbench_metrics():
    yield MetricSpec("flat", "how flat the map is", print, (Column("flat", ""),), needs=("mappping",))
