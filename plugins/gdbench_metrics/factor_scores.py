"""From a table of effects to scores: which direction moves which factor, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


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


def scores(effects: Effects) -> Mapping[str, float]:
    """disentanglement and completeness of the effects, each in [0, 1].

    They are those of Eastwood and Williams (2018) with effects for importances, times the alive share. Completeness is
    that among the directions that act: rows of zeros would make every column look concentrated.
    """
    table = effects.table.double()
    alive = float(effects.alive.double().mean())
    return {
        "disentanglement": alive * concentration(table),
        "completeness": alive * concentration(table[effects.alive > 0].T),
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
