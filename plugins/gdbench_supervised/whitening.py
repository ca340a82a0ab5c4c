"""Whitened coordinates of a space, and random rows that fill up a set of directions there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdbench import Generator, LowRankMoments, Moments, PluginError, moments

FLAT = 1e-6
"""Directions with less than this share of the largest variance (or singular value) count as none."""


@dataclass(frozen=True)
class Whitening:
    """code = mean + e root, with e of unit covariance: mean (dim,), root and its (pseudo-)inverse (dim, dim).

    Where the prior fills ``rank`` dimensions of many, e has as many: root is (rank, dim), inverse (dim, rank).
    """

    mean: Tensor
    root: Tensor
    inverse: Tensor

    def coordinates(self, latents: Tensor) -> Tensor:
        """e (n, dim) of latents (n, dim), float64 on the CPU."""
        return (latents.double().cpu() - self.mean) @ self.inverse


def identity(dim: int) -> Whitening:
    """Coordinates that are the latents themselves."""
    eye = torch.eye(dim, dtype=torch.float64)
    return Whitening(torch.zeros(dim, dtype=torch.float64), eye, eye)


def whitening(generator: Generator, space: str) -> Whitening:
    """The whitening of a space by its prior moments; z is white already. Renders no image."""
    if space == "z":
        return identity(generator.dim(space))
    prior = moments(generator, space)
    if prior.singular:
        return _flat(prior)
    values, vectors = torch.linalg.eigh(prior.covariance)
    kept = values > FLAT * values.max()
    inverse = (vectors[:, kept] / values[kept].sqrt()) @ vectors[:, kept].T
    return Whitening(prior.mean, prior.root(), inverse)


def _flat(prior: Moments) -> Whitening:
    """The whitening of a prior that fills a flat part of its space."""
    basis, spread = (prior.basis, prior.spread) if isinstance(prior, LowRankMoments) else (None, prior.covariance)
    values, vectors = torch.linalg.eigh(spread)
    kept = values > FLAT * values.max()
    rows = vectors[:, kept].T if basis is None else vectors[:, kept].T @ basis
    deviations = values[kept].sqrt()[:, None]
    return Whitening(prior.mean, deviations * rows, (rows / deviations).T)


def without(rows: Tensor, others: Tensor) -> Tensor:
    """``rows`` (n, dim) minus their projection onto the span of ``others`` (m, dim)."""
    basis = _basis(others)
    return rows - rows @ basis.T @ basis


def filled(rows: Tensor, k: int, rng: np.random.Generator) -> Tensor:
    """The first ``k`` rows; where there are fewer, random orthonormal rows follow, orthogonal to all of them.

    Raises PluginError where the space has no room for them.
    """
    missing, dim = k - len(rows), rows.shape[1]
    if missing <= 0:
        return rows[:k]
    rank = len(_basis(rows))
    if missing > dim - rank:
        beside = f"beside {len(rows)} directions of rank {rank} only {dim - rank} orthogonal ones fit"
        raise PluginError(f"K = {k} directions were asked for, but in {dim} dimensions {beside}")
    free = without(torch.from_numpy(rng.standard_normal((missing, dim))), rows)
    return torch.cat([rows, torch.linalg.qr(free.T).Q.T])


def _basis(rows: Tensor) -> Tensor:
    """Orthonormal rows that span ``rows``."""
    _, sizes, vectors = torch.linalg.svd(rows, full_matrices=False)
    basis: Tensor = vectors[sizes > FLAT * sizes.max()] if len(sizes) else vectors
    return basis
