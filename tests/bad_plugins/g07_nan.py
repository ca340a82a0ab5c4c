"""Breaks G07: one pixel is not a number."""

import torch
from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def render(self, codes):
        images = super().render(codes)
        hole = torch.zeros_like(images, dtype=torch.bool)
        hole[:, :, 0, 0] = True
        return images.masked_fill(hole, torch.nan)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
