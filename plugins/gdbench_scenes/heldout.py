"""How well an oracle reads held-out renders: the figures on its card, which the tests measure again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gdbench import Factor, Oracle
from gdbench_scenes.factors import FACTORS, truth
from gdbench_scenes.render import render, sample_factors

BATCH = 250
BY_NAME = {factor.name: factor for factor in FACTORS}


@torch.no_grad()
def held_out(oracle: Oracle, n: int, rng: np.random.Generator) -> dict[str, float]:
    """R² of each factor (accuracy of the class), and `mask`: mean IoU at threshold .5, on n new renders.

    A factor is judged where the image shows it by the true values of `visible_with`: background factors at a presence
    above .3, the phase where also the texture is above .2.
    """
    scenes = sample_factors(n, rng)
    images, masks = (torch.from_numpy(array) for array in render(scenes))
    reads = [oracle.read(batch) for batch in torch.split(images, BATCH)]
    read = {name: torch.cat([part[name] for part in reads]) for name in reads[0]}
    painted = torch.cat([oracle.mask(batch) for batch in torch.split(images, BATCH)])
    true = truth(scenes)
    figures = {factor.name: score(factor, read, true) for factor in FACTORS}
    return figures | {"mask": _iou(painted > 0.5, masks > 0.5)}


def score(factor: Factor, read: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> float:
    """R² or accuracy of one factor, where it can be seen."""
    seen = _visible(factor, true)
    return SCORES[factor.kind](read[factor.name][seen], true[factor.name][seen])


def _visible(factor: Factor, true: Mapping[str, Tensor]) -> Tensor:
    """Where a factor can be seen (n,), and all that it needs to be seen."""
    seen = torch.ones(len(true[factor.name]), dtype=torch.bool)
    while factor.visible_with is not None:
        name, threshold = factor.visible_with
        seen &= true[name] > threshold
        factor = BY_NAME[name]
    return seen


def _accuracy(read: Tensor, true: Tensor) -> float:
    return float((read.argmax(1) == true).float().mean())


def _r2(read: Tensor, true: Tensor) -> float:
    """Coefficient of determination, over all columns together."""
    read, true = read.double(), true.double()
    return float(1 - (read - true).square().sum() / (true - true.mean(0)).square().sum())


def _r2_circular(read: Tensor, true: Tensor) -> float:
    """R² of turns as points on the unit circle."""
    return _r2(_circle(read), _circle(true))


def _circle(turns: Tensor) -> Tensor:
    angle = 2 * torch.pi * turns.double()
    return torch.stack([angle.sin(), angle.cos()], 1)


def _iou(painted: Tensor, true: Tensor) -> float:
    both, either = (painted & true).sum((1, 2)), (painted | true).sum((1, 2))
    return float((both / either).mean())


SCORES = {"linear": _r2, "circular": _r2_circular, "class": _accuracy}
