"""Breaks G19: rendering sets an environment variable."""

import os

from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, hookimpl


class Bad(Toy):
    def render(self, codes):
        os.environ["OMP_PROC_BIND"] = "true"
        return super().render(codes)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", lambda *given: Bad(**vars(load(*given))), domain="toy")
