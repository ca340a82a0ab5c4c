"""Breaks G06: images are larger than image_shape says."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


def wrong(*given):
    return Toy(**{**vars(load(*given)), "image_shape": (3, 16, 16)})


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", wrong, domain="toy")
