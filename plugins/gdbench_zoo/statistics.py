"""What only cards tell: the Fréchet distance of two sets of features (n, d), and the held-out R² of a linear fit."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to both sets (Heusel et al. 2017, eq. 6)."""
    a, b = a.double(), b.double()
    covariance_a, covariance_b = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(covariance_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # tr sqrt(AB) = tr sqrt(A^1/2 B A^1/2), which is symmetric
    cross = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + covariance_a.trace() + covariance_b.trace() - 2 * cross)


def linear_r2(latents: Tensor, values: Tensor, test_share: float = 0.2) -> float:
    """R² of least squares with intercept, latents (n, d) to values (n, m), on the last rows, which are held out."""
    inputs = torch.cat([latents.double(), torch.ones(len(latents), 1, dtype=torch.float64)], 1)
    outputs = values.double()
    train = len(inputs) - int(len(inputs) * test_share)
    if train <= inputs.shape[1] or train == len(inputs):
        raise ValueError(f"{len(inputs)} rows are too few for {inputs.shape[1]} coefficients and a held-out set")
    solution = torch.linalg.lstsq(inputs[:train], outputs[:train], driver="gelsd").solution
    test = outputs[train:]
    residual = (test - inputs[train:] @ solution).square().sum()
    return float(1 - residual / (test - test.mean(0)).square().sum())
