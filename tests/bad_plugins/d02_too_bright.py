"""Breaks D02: real images beyond 1."""

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


class Bad(ToyDomain):
    def images(self, n, rng):
        return 2 * super().images(n, rng)


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
