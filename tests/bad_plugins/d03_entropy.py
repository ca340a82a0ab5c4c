"""Breaks D03: images come from the operating system's entropy."""

import numpy as np
from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


class Bad(ToyDomain):
    def images(self, n, rng):
        return super().images(n, np.random.default_rng())


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
