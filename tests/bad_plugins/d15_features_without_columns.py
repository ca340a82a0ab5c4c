"""Breaks D15: an oracle has features of its own, one number for each image in place of a row."""

from gdbench_toy.domain import ToyDomain
from gdbench_toy.oracles import ToyOracle

from gdbench import DomainSpec, hookimpl


class Reader(ToyOracle):
    def features(self, images):
        return images.mean((1, 2, 3))


class Bad(ToyDomain):
    def oracle(self, which):
        return Reader(**vars(super().oracle(which)))


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
