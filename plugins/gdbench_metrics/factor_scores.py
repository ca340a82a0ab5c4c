"""From a table of effects to scores: which direction moves which factor, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MOVED = 0.5  # an effect, in spreads of the factor, that counts as moving it
PURE = 0.5  # share of a direction's whole effect that lies on one factor


@dataclass(frozen=True)
class Effects:
    """What K directions do to J factors.

    table (k, j): mean change in spreads of the factor, over both signs; a dead sign changes nothing. alive (k,) in
    {0, .5, 1}: share of signs that are alive.
    """

    table: Tensor
    alive: Tensor

    @property
    def shares(self) -> Tensor:
        """(k, j): each row divided by its sum; rows of zeros stay zero."""
        return self.table / self.table.sum(1, keepdim=True).clamp_min(1e-12)

    @property
    def hits(self) -> Tensor:
        """(k, j) bool: the direction moves the factor, and it is at least half of what the direction does."""
        return (self.table >= MOVED) & (self.shares >= PURE)


def scores(effects: Effects) -> Mapping[str, float]:
    """disentanglement, completeness, coverage, purity, concentration and precision_at_k of the effects, each in [0, 1].

    Disentanglement and completeness are those of Eastwood and Williams (2018) with effects for importances. Dead
    directions fail: both are multiplied by the alive share, and the others count K directions. Completeness is that
    among the directions that act: rows of zeros would make every column look concentrated.
    """
    table, shares, hits = effects.table.double(), effects.shares.double(), effects.hits
    alive = float(effects.alive.double().mean())
    moved = torch.where(table >= MOVED, shares, 0.0)
    return {
        "disentanglement": alive * concentration(table),
        "completeness": alive * concentration(table[effects.alive > 0].T),
        "coverage": float(hits.any(0).double().mean()),
        "purity": float(moved.max(0).values.mean()),
        "concentration": float((shares.max(1).values * effects.alive).mean()),
        "precision_at_k": float((hits.any(1) * effects.alive).double().mean()),
    }


def concentration(table: Tensor) -> float:
    """Mean over rows of 1 - entropy / log(columns), weighted by row sums; 1 where there is one column, 0 for zeros.

    table: (rows, columns); no columns are zeros.
    """
    total = table.sum()
    if total <= 0:
        return 0.0
    rows = table.sum(1)
    entropy = torch.special.entr(table / rows.clamp_min(1e-12)[:, None]).sum(1)
    columns = torch.tensor(float(max(table.shape[1], 2)), dtype=torch.float64)
    return float((rows / total * (1 - entropy / columns.log())).sum())
