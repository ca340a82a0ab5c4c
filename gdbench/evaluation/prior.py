"""Mean and covariance of a space: what one prior standard deviation means there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench.protocols import Generator
from gdbench.streams import Stream

SAMPLES = 20_000


@dataclass(frozen=True)
class Moments:
    """Mean (dim,) and covariance (dim, dim) of a space, float64 on the CPU."""

    mean: Tensor
    covariance: Tensor

    def root(self) -> Tensor:
        """The symmetric square root S^(1/2) (dim, dim): whitened shift -> shift in the space."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        return root

    def deviations(self, delta: Tensor) -> Tensor:
        """|delta| in prior standard deviations along itself (PROTOCOL section 3): |delta| / sqrt(u'Su), (n,).

        delta: (n, dim). Zero for a zero displacement, infinite along a direction in which the prior has no spread.
        """
        delta = delta.double().cpu()
        squared = (delta * delta).sum(1)
        spread = ((delta @ self.covariance) * delta).sum(1).clamp_min(0)
        return torch.where(squared > 0, squared / spread.sqrt(), torch.zeros_like(squared))

    def mahalanobis(self, latents: Tensor) -> Tensor:
        """Mahalanobis radius (n,) of latents (n, dim), on the directions that carry variance."""
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > values.max() * 1e-6
        centred = (latents.double().cpu() - self.mean) @ vectors[:, kept]
        radius: Tensor = (centred.square() / values[kept]).sum(1).sqrt()
        return radius


def moments(generator: Generator, space: str, samples: int = SAMPLES) -> Moments:
    """The moments of ``space``, from ``samples`` codes of a fixed stream, accumulated in float64. Renders no image."""
    stream = Stream(0, "moments")
    dim = generator.dim(space)
    total, outer = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64)
    batch = 2_000
    with torch.no_grad():
        for step, start in enumerate(range(0, samples, batch)):
            latents = generator.sample(min(batch, samples - start), space, stream.at(step)).latents.double().cpu()
            total += latents.sum(0)
            outer += latents.T @ latents
    mean = total / samples
    return Moments(mean, (outer - samples * torch.outer(mean, mean)) / (samples - 1))
