"""Breaks D06: an oracle does not say whether it passed every factor."""

from gdbench_toy.domain import ToyDomain
from gdbench_toy.oracles import ToyOracle

from gdbench import DomainSpec, hookimpl


class Reader(ToyOracle):
    @property
    def passed(self):
        return {"x": True, "y": True}


class Bad(ToyDomain):
    def oracle(self, which):
        return Reader(**vars(super().oracle(which)))


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
