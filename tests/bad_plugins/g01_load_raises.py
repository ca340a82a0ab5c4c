"""Breaks G01: loading raises."""

from gdbench import GeneratorSpec, hookimpl


def broken(path, params, device):
    raise RuntimeError("no such layer")


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", broken, domain="toy")
