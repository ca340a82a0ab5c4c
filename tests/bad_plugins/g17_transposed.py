"""Breaks G17: modulation weights are transposed."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def modulation_weights(self, space):
        return {name: weight.T for name, weight in super().modulation_weights(space).items()}


@hookimpl
def gdbench_generators():
    yield GeneratorSpec(
        "bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy", provides=("modulation",)
    )
