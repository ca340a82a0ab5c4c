"""Breaks G13: the weights ask for a gradient."""

from gdbench_toy.generator import load

from gdbench import GeneratorSpec, hookimpl


def trainable(*given):
    toy = load(*given)
    toy.planted.requires_grad_()
    return toy


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", trainable, domain="toy")
