"""The two penalties, as functions of finite differences. Each vanishes where its matrix is diagonal.

A function maps coordinates (j, n, m) to outputs (j, n, width). signs: (probes, n, m) of +1 and -1, m coordinates each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def hessian_penalty(function: Function, signs: Tensor, epsilon: float) -> Tensor:
    """Mean over codes and outputs of Var_x [x' H x], from second differences (arXiv:2008.10599).

    Its expectation is 2 sum_{i != j} H_ij^2, whatever ``probes`` is, because the variance is the unbiased one.
    """
    steps = epsilon * signs
    out = function(torch.cat([torch.zeros_like(steps[:1]), steps, -steps]))
    ahead, behind = out[1:].chunk(2)
    return ((ahead - 2 * out[0] + behind) / epsilon**2).var(0).mean()


def orojar_penalty(function: Function, signs: Tensor, epsilon: float) -> Tensor:
    """Mean over codes of Var_x |J x|^2, from first differences, |.| over all outputs (arXiv:2108.07668).

    Its expectation is 2 sum_{i != j} (J'J)_ij^2.
    """
    steps = epsilon * signs
    out = function(torch.cat([torch.zeros_like(steps[:1]), steps]))
    return ((out[1:] - out[0]) / epsilon).square().sum(2).var(0).mean()
