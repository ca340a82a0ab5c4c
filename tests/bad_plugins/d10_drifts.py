"""Breaks D10: an oracle reads differently with every call."""

from itertools import count

from gdbench_toy.domain import ToyDomain
from gdbench_toy.oracles import ToyOracle

from gdbench import DomainSpec, hookimpl

CALLS = count()


class Reader(ToyOracle):
    def read(self, images):
        factors = super().read(images)
        return {**factors, "x": factors["x"] + 1e-4 * (next(CALLS) % 7)}


class Bad(ToyDomain):
    def oracle(self, which):
        return Reader(**vars(super().oracle(which)))


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
