"""Breaks G12: images are rendered without gradient."""

import torch
from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    @torch.no_grad()
    def render(self, codes):
        return super().render(codes)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
