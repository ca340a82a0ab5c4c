"""Breaks G11: rendering truncates the latents in place."""

import torch
from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def render(self, codes):
        with torch.no_grad():
            codes.latents.clamp_(-1, 1)
        return super().render(codes)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
