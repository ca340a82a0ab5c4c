"""Blocks: what a score owes to each part of the evaluation sample, so that an interval can draw another sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = 16
"""Blocks into which the evaluation sample of a metric is cut, in its order; the same codes for every method."""


def block_numbers(n: int) -> Tensor:
    """The block (n,) of each of n things, in their order: ``BLOCKS`` blocks as equal as can be."""
    return torch.arange(n) * BLOCKS // n


def block_values(statistic: Callable[[Tensor], Mapping[str, float]], n: int) -> dict[str, list[float]]:
    """Jackknife pseudo-values of columns, one for each of ``BLOCKS`` blocks of n things (Tukey 1958; Efron 1982, 2.1).

    statistic: the columns, computed from the things that a mask (n,) bool keeps. A column that is a mean over equal
    blocks gives the means of the blocks. Nothing for fewer things than blocks.
    """
    if n < BLOCKS:
        return {}
    block = block_numbers(n)
    whole = statistic(torch.ones(n, dtype=torch.bool))
    without = [statistic(block != number) for number in range(BLOCKS)]
    return {name: [BLOCKS * value - (BLOCKS - 1) * part[name] for part in without] for name, value in whole.items()}
