"""Breaks D08: an oracle's mask leaves [0, 1]."""

from gdbench_toy.domain import ToyDomain
from gdbench_toy.oracles import ToyOracle

from gdbench import DomainSpec, hookimpl


class Reader(ToyOracle):
    def mask(self, images):
        return 2 * super().mask(images)


class Bad(ToyDomain):
    def oracle(self, which):
        return Reader(**vars(super().oracle(which)))


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
