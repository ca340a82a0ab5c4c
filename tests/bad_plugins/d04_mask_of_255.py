"""Breaks D04: masks in 0 to 255."""

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


class Bad(ToyDomain):
    def pairs(self, n, rng):
        images, masks = super().pairs(n, rng)
        return images, 255 * masks


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
