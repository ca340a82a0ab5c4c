"""The prior of a latent space, summed up by its mean and covariance: what one standard deviation means there.

Magnitudes of different spaces cannot be compared as latent lengths. They are compared in prior standard deviations
along the displacement, and metrics say by these moments how far an edit leaves what the generator was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gdbench.protocols import Generator
from gdbench.streams import Stream

SAMPLES = 20_000
"""How many codes moments are estimated from."""
ROWS = 500
"""How many codes are taken at a time in a space of many dimensions."""

FLAT = 1e-11
"""Share of the largest variance below which there is none but rounding."""
RANKED = 1_200
"""Codes from which the rank of a space of many dimensions is told: one that fills fewer dimensions is of low rank."""
DENSE = 4_096
"""The most dimensions of a space whose covariance is kept whole: it takes 128 MiB there, and estimating it takes more
samples than there are dimensions."""


class Moments(Protocol):
    """Mean and covariance S of the codes of a space of ``dim`` dimensions; all tensors are float64 on the CPU."""

    @property
    def mean(self) -> Tensor:
        """The mean code, (dim,)."""
        ...

    @property
    def variances(self) -> Tensor:
        """The variance along each axis, (dim,): the diagonal of S."""
        ...

    @property
    def covariance(self) -> Tensor:
        """S itself, (dim, dim). In a space of many dimensions it may not fit into memory: prefer what needs no
        matrix."""
        ...

    @property
    def largest(self) -> float:
        """The greatest standard deviation that the prior has in any direction."""
        ...

    def root(self) -> Tensor:
        """The symmetric square root S^(1/2), (dim, dim). It makes a shift in the space of a whitened one, in which
        every direction has a standard deviation of 1. See ``covariance`` on its size."""
        ...

    def unwhitened(self, shifts: Tensor) -> Tensor:
        """Whitened shifts (n, dim) as shifts (n, dim) in the space: ``shifts @ root()``, without making the matrix."""
        ...

    def deviations(self, delta: Tensor) -> Tensor:
        """How long displacements are, in prior standard deviations along themselves (PROTOCOL, "Calibration").

        delta: (n, dim). Gives |delta| / sqrt(u'Su), (n,), with u the unit vector along delta. A zero displacement gives
        0, one along a direction in which the prior has no spread gives infinity.
        """
        ...

    def mahalanobis(self, latents: Tensor) -> Tensor:
        """The Mahalanobis radius (n,) of latents (n, dim): their distance from the mean in standard deviations.

        Directions with less than a millionth of the greatest variance are left out.
        """
        ...

    @property
    def singular(self) -> bool:
        """Whether the prior fills a flat part of the space alone: what leaves it is outside, at whatever radius."""
        ...


@dataclass(frozen=True)
class DenseMoments:
    """Moments that keep the whole covariance, (dim, dim)."""

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

    @property
    def singular(self) -> bool:
        """As in ``Moments``."""
        values = torch.linalg.eigvalsh(self.covariance)
        return bool(values[0] <= FLAT * values[-1])


@dataclass(frozen=True)
class LowRankMoments:
    """Moments of a space of many dimensions whose prior fills few of them: S = basis' spread basis.

    basis: (rank, dim), orthonormal rows; spread: (rank, rank), the covariance of the coordinates along them.
    """

    mean: Tensor
    basis: Tensor
    spread: Tensor

    @property
    def variances(self) -> Tensor:
        """As in ``Moments``."""
        return ((self.spread @ self.basis) * self.basis).sum(0)

    @property
    def covariance(self) -> Tensor:
        """As in ``Moments``."""
        return self.basis.T @ self.spread @ self.basis

    @property
    def largest(self) -> float:
        """As in ``Moments``."""
        return self._inner.largest

    def root(self) -> Tensor:
        """As in ``Moments``."""
        return self.basis.T @ self._inner.root() @ self.basis

    def unwhitened(self, shifts: Tensor) -> Tensor:
        """As in ``Moments``."""
        return shifts.double().cpu() @ self.basis.T @ self._inner.root() @ self.basis

    def deviations(self, delta: Tensor) -> Tensor:
        """As in ``Moments``."""
        parts = (chunk.double().cpu() for chunk in torch.split(delta, ROWS))
        return torch.cat([_in_deviations(part, _quadratic(part @ self.basis.T, self.spread)) for part in parts])

    def mahalanobis(self, latents: Tensor) -> Tensor:
        """As in ``Moments``."""
        parts = (chunk.double().cpu() - self.mean for chunk in torch.split(latents, ROWS))
        return self._inner.mahalanobis(torch.cat([part @ self.basis.T for part in parts]))

    @property
    def singular(self) -> bool:
        """As in ``Moments``."""
        return True

    @property
    def _inner(self) -> DenseMoments:
        """The moments of the coordinates along the basis."""
        return DenseMoments(torch.zeros(len(self.spread), dtype=torch.float64), self.spread)


def _quadratic(rows: Tensor, matrix: Tensor) -> Tensor:
    return ((rows @ matrix) * rows).sum(1)


@dataclass(frozen=True)
class DiagonalMoments:
    """Moments of a space whose axes are taken as independent: they keep ``dim`` numbers in place of dim²."""

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

    @property
    def singular(self) -> bool:
        """As in ``Moments``."""
        return bool(self.variances.min() <= FLAT * self.variances.max())


def _in_deviations(delta: Tensor, spread: Tensor) -> Tensor:
    """|delta| / sqrt(u'Su), (n,), of displacements (n, dim) in float64. spread: delta'S delta, (n,)."""
    squared = (delta * delta).sum(1)
    return torch.where(squared > 0, squared / spread.clamp_min(0).sqrt(), torch.zeros_like(squared))


def moments(generator: Generator, space: str, samples: int = SAMPLES) -> Moments:
    """The moments of ``space``, estimated from ``samples`` codes of a fixed stream in float64. No image is rendered.

    Above ``DENSE`` dimensions nothing of the size dim² is made: where the prior fills few of them, as that of style
    channels does, its covariance is kept on these; else the axes are taken as independent.
    """
    dim = generator.dim(space)
    if dim > DENSE:
        basis = _filled(generator, space)
        if basis is not None:
            return _low_rank(generator, space, basis, samples)
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
def _filled(generator: Generator, space: str) -> Tensor | None:
    """Orthonormal rows (rank, dim) that span where the prior lies; None where that is everywhere."""
    stream, chunks = Stream(0, "moments").of("rank"), range(0, RANKED, ROWS)
    sizes = [min(ROWS, RANKED - start) for start in chunks]
    rows = torch.cat([generator.sample(n, space, stream.at(i)).latents.double().cpu() for i, n in enumerate(sizes)])
    rows = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    kept = values > FLAT * values[-1]
    if int(kept.sum()) >= min(RANKED - 1, rows.shape[1]):
        return None
    basis: Tensor = (vectors[:, kept] / values[kept].sqrt()).T @ rows
    return basis


@torch.no_grad()
def _low_rank(generator: Generator, space: str, basis: Tensor, samples: int) -> LowRankMoments:
    stream = Stream(0, "moments")
    total = torch.zeros(basis.shape[1], dtype=torch.float64)
    outer = torch.zeros(len(basis), len(basis), dtype=torch.float64)
    for step, start in enumerate(range(0, samples, ROWS)):
        latents = generator.sample(min(ROWS, samples - start), space, stream.at(step)).latents.double().cpu()
        along = latents @ basis.T
        total += latents.sum(0)
        outer += along.T @ along
    mean = total / samples
    middle = basis @ mean
    return LowRankMoments(mean, basis, (outer - samples * torch.outer(middle, middle)) / (samples - 1))


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
