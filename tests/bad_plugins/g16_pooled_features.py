"""Breaks G16: features are pooled over the batch."""

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def features(self, codes, layer):
        return super().features(codes, layer).mean(0, keepdim=True)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec(
        "bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy", provides=("features",)
    )
