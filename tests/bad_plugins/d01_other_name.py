"""Breaks D01: the domain goes by another name than its spec."""

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


def load(device):
    return ToyDomain(device, name="someone-else")


@hookimpl
def gdbench_domains():
    yield DomainSpec("bad", "breaks one clause", load, offers=("factors", "masks", "images"))
