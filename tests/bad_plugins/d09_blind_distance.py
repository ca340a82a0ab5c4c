"""Breaks D09: the distance sees nothing."""

from gdbench_toy.domain import ToyDomain
from gdbench_toy.oracles import ToyOracle

from gdbench import DomainSpec, hookimpl


class Reader(ToyOracle):
    def embed(self, images):
        maps, pooled = super().embed(images)
        return [layer.new_ones(layer.shape) for layer in maps], pooled


class Bad(ToyDomain):
    def oracle(self, which):
        return Reader(**vars(super().oracle(which)))


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
