"""Breaks D13: loading changes the working directory."""

import os
from pathlib import Path

from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


def load(device):
    os.chdir(Path(__file__).parent)
    return ToyDomain(device, name="bad")


@hookimpl
def gdbench_domains():
    yield DomainSpec("bad", "breaks one clause", load, offers=("factors", "masks", "images"))
