"""Breaks G04: n + 1 codes where n were asked for."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def sample(self, n, space, rng):
        return super().sample(n + 1, space, rng)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
