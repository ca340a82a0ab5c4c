"""Breaks G15: the mapping leads from z to z."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def map(self, codes):
        return codes


@hookimpl
def gdbench_generators():
    yield GeneratorSpec(
        "bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy", provides=("mapping",)
    )
