"""Breaks G05: codes come from the operating system's entropy."""

import numpy as np
from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def sample(self, n, space, rng):
        return super().sample(n, space, np.random.default_rng())


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
