"""Breaks D05: what it says in words is of a factor that it does not have."""

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad",
        "breaks one clause",
        lambda device: ToyDomain(device, name="bad"),
        offers=("factors", "masks", "images"),
        factors={"x": "where it is", "smell": "how it smells"},
    )
