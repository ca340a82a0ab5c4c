"""Breaks G14: one label is missing."""

from dataclasses import replace

import torch
from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def sample(self, n, space, rng):
        return replace(super().sample(n, space, rng), labels=torch.zeros(n - 1, dtype=torch.int64))


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
