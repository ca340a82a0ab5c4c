"""Breaks D05: a circular factor counts turns beyond 1."""

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


class Bad(ToyDomain):
    def truth(self, n, rng):
        images, factors = super().truth(n, rng)
        return images, {**factors, "hue": factors["hue"] + 1}


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
