"""Mean and covariance of a space: what one prior standard deviation means there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gdbench.protocols import Generator
from gdbench.streams import Stream

SAMPLES = 20_000
ROWS = 500
"""Codes at a time in a space of many dimensions."""


DENSE = 4_096
"""The most dimensions of a space whose covariance is kept whole: it takes 128 MiB, and more samples than dimensions."""


class Moments(Protocol):
    """Mean and covariance S of a space of ``dim`` dimensions, float64 on the CPU."""

    @property
    def mean(self) -> Tensor:
        """(dim,)."""
        ...

    @property
    def variances(self) -> Tensor:
        """(dim,): those along the axes, the diagonal of S."""
        ...

    @property
    def covariance(self) -> Tensor:
        """S (dim, dim), for what needs a matrix; in a space of many dimensions it may not fit into memory."""
        ...

    @property
    def largest(self) -> float:
        """The greatest standard deviation that the prior has in any direction."""
        ...

    def root(self) -> Tensor:
        """The symmetric square root S^(1/2) (dim, dim): whitened shift -> shift in the space; see ``covariance``."""
        ...

    def unwhitened(self, shifts: Tensor) -> Tensor:
        """Whitened shifts (n, dim) as shifts in the space: ``shifts @ root()``, without making a matrix."""
        ...

    def deviations(self, delta: Tensor) -> Tensor:
        """|delta| in prior standard deviations along itself (PROTOCOL, "Calibration"): |delta| / sqrt(u'Su), (n,).

        delta: (n, dim). Zero for a zero displacement, infinite along a direction in which the prior has no spread.
        """
        ...

    def mahalanobis(self, latents: Tensor) -> Tensor:
        """Mahalanobis radius (n,) of latents (n, dim), on the directions that carry variance."""
        ...


@dataclass(frozen=True)
class DenseMoments:
    """Moments with the whole covariance (dim, dim)."""

    mean: Tensor
    covariance: Tensor

    @property
    def variances(self) -> Tensor:
        """As in ``Moments``."""
        return self.covariance.diagonal()

    @property
    def largest(self) -> float:
        """As in ``Moments``."""
        return float(torch.linalg.eigvalsh(self.covariance)[-1].clamp_min(0).sqrt())

    def root(self) -> Tensor:
        """As in ``Moments``."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        return root

    def unwhitened(self, shifts: Tensor) -> Tensor:
        """As in ``Moments``."""
        return shifts.double().cpu() @ self.root()

    def deviations(self, delta: Tensor) -> Tensor:
        """As in ``Moments``."""
        delta = delta.double().cpu()
        return _in_deviations(delta, ((delta @ self.covariance) * delta).sum(1))

    def mahalanobis(self, latents: Tensor) -> Tensor:
        """As in ``Moments``."""
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > values.max() * 1e-6
        centred = (latents.double().cpu() - self.mean) @ vectors[:, kept]
        radius: Tensor = (centred.square() / values[kept]).sum(1).sqrt()
        return radius


@dataclass(frozen=True)
class DiagonalMoments:
    """Moments of a space whose axes are taken as independent: ``dim`` numbers where a covariance would have dim²."""

    mean: Tensor
    variances: Tensor

    @property
    def covariance(self) -> Tensor:
        """As in ``Moments``."""
        return torch.diag(self.variances)

    @property
    def largest(self) -> float:
        """As in ``Moments``."""
        return float(self.variances.max().clamp_min(0).sqrt())

    def root(self) -> Tensor:
        """As in ``Moments``."""
        return torch.diag(self.variances.clamp_min(0).sqrt())

    def unwhitened(self, shifts: Tensor) -> Tensor:
        """As in ``Moments``."""
        return shifts.double().cpu() * self.variances.clamp_min(0).sqrt()

    def deviations(self, delta: Tensor) -> Tensor:
        """As in ``Moments``."""
        parts = (chunk.double().cpu() for chunk in torch.split(delta, ROWS))
        return torch.cat([_in_deviations(part, part.square() @ self.variances) for part in parts])

    def mahalanobis(self, latents: Tensor) -> Tensor:
        """As in ``Moments``."""
        kept = self.variances > self.variances.max() * 1e-6
        scale = torch.where(kept, 1 / self.variances.clamp_min(1e-300), 0.0)
        parts = (chunk.double().cpu() - self.mean for chunk in torch.split(latents, ROWS))
        return torch.cat([(part.square() @ scale).sqrt() for part in parts])


def _in_deviations(delta: Tensor, spread: Tensor) -> Tensor:
    """|delta| / sqrt(u'Su) of delta (n, dim), float64, whose delta'S delta is ``spread`` (n,)."""
    squared = (delta * delta).sum(1)
    return torch.where(squared > 0, squared / spread.clamp_min(0).sqrt(), torch.zeros_like(squared))


def moments(generator: Generator, space: str, samples: int = SAMPLES) -> Moments:
    """The moments of ``space``, from ``samples`` codes of a fixed stream, accumulated in float64. Renders no image.

    Above ``DENSE`` dimensions the axes are taken as independent: nothing of the size dim² is made.
    """
    dim = generator.dim(space)
    if dim > DENSE:
        return _diagonal(generator, space, dim, samples)
    stream = Stream(0, "moments")
    total, outer = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64)
    batch = 2_000
    with torch.no_grad():
        for step, start in enumerate(range(0, samples, batch)):
            latents = generator.sample(min(batch, samples - start), space, stream.at(step)).latents.double().cpu()
            total += latents.sum(0)
            outer += latents.T @ latents
    mean = total / samples
    return DenseMoments(mean, (outer - samples * torch.outer(mean, mean)) / (samples - 1))


@torch.no_grad()
def _diagonal(generator: Generator, space: str, dim: int, samples: int) -> DiagonalMoments:
    stream = Stream(0, "moments")
    total, squares = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64)
    for step, start in enumerate(range(0, samples, ROWS)):
        latents = generator.sample(min(ROWS, samples - start), space, stream.at(step)).latents.double().cpu()
        total += latents.sum(0)
        squares += latents.square().sum(0)
    mean = total / samples
    return DiagonalMoments(mean, ((squares - samples * mean.square()) / (samples - 1)).clamp_min(0))
