"""Breaks G18: codes are drawn from torch's global generator."""

import torch
from gdbench_toy.generator import Toy, load

from gdbench import Codes, GeneratorSpec, hookimpl


class Bad(Toy):
    def sample(self, n, space, rng):
        return Codes(torch.randn(n, self.dim(space)), space)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
