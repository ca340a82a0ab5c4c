"""Breaks G09: every call renders a little brighter."""

from itertools import count

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl

CALLS = count()


class Bad(Toy):
    def render(self, codes):
        return super().render(codes) + 1e-5 * (next(CALLS) % 7)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
