"""How many of the K directions can be told apart, by a reader in closed form (PROTOCOL, "Distinct").

Linear discriminant analysis on the features of the domain: no training that could stop too early. Never ranked: at
equal visible change random directions are among the easiest to tell apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gdbench import Context, Edits, NoParams, Scores, Subject

RIDGE = 1e-9  # of the mean variance: keeps the covariance invertible where every direction is dead


def measure(subject: Subject, params: NoParams, context: Context) -> Scores:
    """Read the shared edits: half of the codes fit the reader, the other half test it, both ways round."""
    features, counts = moved(subject.edits()), torch.zeros(subject.k, subject.k, dtype=torch.float64)
    even = torch.arange(features.shape[2]) % 2 == 0
    for fitted, tested in ((even, ~even), (~even, even)):
        counts += confusion(features[:, :, fitted], features[:, :, tested])
    bits = information(counts)
    named = (counts.diagonal() / counts.sum(1)).tolist()
    return Scores({"distinct": 2**bits, "bits": bits}, {"named": named})


def moved(edits: Edits) -> Tensor:
    """(k, 2, n, d): features of the edit minus those of the original; a dead sign moves nothing."""
    change = edits.edited.pooled.double() - edits.base.pooled.double()
    return change * edits.alive[..., None, None]


def confusion(fit: Tensor, test: Tensor) -> Tensor:
    """Counts (k, k): true direction by the one that is named, over codes and signs. fit, test: (k, 2, n, d).

    A class is a direction with a sign, so that no convention of sign helps. Classes are Gaussian with one covariance,
    which is shrunk towards a multiple of the identity (Ledoit and Wolf 2004).
    """
    k, signs, _, d = fit.shape
    means = fit.mean(2).reshape(k * signs, d)
    within = (fit - fit.mean(2, keepdim=True)).reshape(-1, d)
    weights = torch.linalg.solve(shrunk(within), means.T)
    scores = test.reshape(-1, d) @ weights - (means.T * weights).sum(0) / 2
    named = scores.argmax(1) // signs
    true = torch.arange(k).repeat_interleave(signs * test.shape[2])
    return torch.bincount(true * k + named, minlength=k * k).reshape(k, k).double()


def shrunk(rows: Tensor) -> Tensor:
    """Ledoit and Wolf's covariance (d, d) of centred rows (n, d)."""
    n, d = rows.shape
    covariance = rows.T @ rows / n
    mean = covariance.diagonal().mean()
    apart = (covariance - mean * torch.eye(d, dtype=rows.dtype)).square().sum()
    noise = (rows.square().sum(1).square().sum() / n - covariance.square().sum()) / n
    weight = float((noise / apart.clamp_min(1e-300)).clamp(0, 1))
    target = (mean * (weight + RIDGE) + 1e-300) * torch.eye(d, dtype=rows.dtype)
    return (1 - weight) * covariance + target


def information(counts: Tensor) -> float:
    """Mutual information in bits of a table of counts, with Miller's correction (1955), not below 0."""
    total = counts.sum()
    joint = counts / total
    rows, columns = joint.sum(1), joint.sum(0)
    entropy = torch.special.entr
    plain = entropy(rows).sum() + entropy(columns).sum() - entropy(joint).sum()
    filled = [int((part > 0).sum()) - 1 for part in (rows, columns, joint)]
    corrected = float(plain) + (filled[0] + filled[1] - filled[2]) / (2 * float(total))
    return max(corrected / math.log(2), 0.0)
