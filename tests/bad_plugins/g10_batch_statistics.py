"""Breaks G10: images are normalised by their batch."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def render(self, codes):
        images = super().render(codes)
        return images - 0.1 * images.mean(0, keepdim=True)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
