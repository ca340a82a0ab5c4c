"""Breaks D12: images carry noise from torch's global generator."""

import torch
from gdbench_toy.domain import ToyDomain

from gdbench import DomainSpec, hookimpl


class Bad(ToyDomain):
    def images(self, n, rng):
        images = super().images(n, rng)
        return (images + 1e-3 * torch.rand_like(images)).clamp(-1, 1)


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        "bad", "breaks one clause", lambda device: Bad(device, name="bad"), offers=("factors", "masks", "images")
    )
