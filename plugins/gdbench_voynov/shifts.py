"""Which direction is shifted and how far: the law of section 3 of the paper."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gdbench import integers, normal, uniform
from gdbench_voynov.params import VoynovParams


def draw(params: VoynovParams, k: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Directions (batch,) int64, uniform over ``k``, and signed shifts (batch,) float32, on the CPU."""
    index = integers(rng, k, params.batch)
    if params.law == "normal":
        raw = params.shift_max * normal(rng, params.batch)
    else:
        raw = uniform(rng, -params.shift_max, params.shift_max, params.batch)
    return index, clamp(raw, params.shift_min)


def clamp(shift: Tensor, least: float) -> Tensor:
    """Shifts shorter than ``least`` set to that length, sign kept.

    U[-6, 6] and .5 leave two point masses, 1/24 of all draws at each of -.5 and +.5.
    """
    return torch.where(shift < 0, shift.clamp_max(-least), shift.clamp_min(least))
