"""How well an oracle reads held-out renders: the figures on its card, which the tests measure again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gdbench import Oracle
from gdbench_scenes.factors import FACTORS, PRESENCE_VISIBLE, TEXTURE_VISIBLE, truth
from gdbench_scenes.render import render, sample_factors

BATCH = 250


@torch.no_grad()
def held_out(oracle: Oracle, n: int, rng: np.random.Generator) -> dict[str, float]:
    """R² of each factor (accuracy of the class), and `mask`: mean IoU at threshold .5, on n new renders.

    Background factors are judged where the true presence is above .3, the phase where also the texture is above .2:
    elsewhere the image does not show them.
    """
    scenes = sample_factors(n, rng)
    images, masks = (torch.from_numpy(array) for array in render(scenes))
    reads = [oracle.read(batch) for batch in torch.split(images, BATCH)]
    read = {name: torch.cat([part[name] for part in reads]) for name in reads[0]}
    painted = torch.cat([oracle.mask(batch) for batch in torch.split(images, BATCH)])
    true = truth(scenes)
    visible = _visible(true)
    figures = {
        factor.name: SCORES[factor.kind](read[factor.name][seen], true[factor.name][seen])
        for factor in FACTORS
        for seen in [visible[factor.name]]
    }
    return figures | {"mask": _iou(painted > 0.5, masks > 0.5)}


def _visible(true: Mapping[str, Tensor]) -> dict[str, Tensor]:
    background = true["presence"] > PRESENCE_VISIBLE
    seen = {factor.name: torch.ones_like(background) for factor in FACTORS}
    seen["background_hue"] = seen["texture"] = background
    seen["phase"] = background & (true["texture"] > TEXTURE_VISIBLE)
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
