"""Breaks D07: an oracle takes y for x, and says that it passed both."""

from gdbench_toy.domain import ToyDomain
from gdbench_toy.oracles import ToyOracle

from gdbench import DomainSpec, hookimpl


class Reader(ToyOracle):
    def read(self, images):
        factors = super().read(images)
        return {**factors, "x": factors["y"]}


class Bad(ToyDomain):
    def oracle(self, which):
        return Reader(**vars(super().oracle(which)))


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
