"""Breaks D11: both oracles are the same."""

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


class Bad(ToyDomain):
    def oracle(self, which):
        return super().oracle("a")


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
