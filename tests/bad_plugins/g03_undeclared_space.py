"""Breaks G03: the generator has a space that its spec does not declare."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


def also_q(*given):
    return Toy(**{**vars(load(*given)), "spaces": ("z", "q")})


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", also_q, domain="toy")
