"""SeFa: maximise |A n|² over unit vectors n (equation 4 of the paper); the solutions are eigenvectors of AᵀA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from gdbench import Context, Generator, LinearDirections, NoParams, PluginError


class Modulated(Generator, Protocol):
    """A generator that shows its first affine weights (capability "modulation")."""

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]: ...


def discover(generator: Modulated, params: NoParams, context: Context) -> LinearDirections:
    """The ``context.k`` directions of largest eigenvalue, over all layers that ``context.space`` modulates.

    Raises PluginError where K exceeds the dimension or no layer acts on the space.
    """
    weights = list(generator.modulation_weights(context.space).values())
    if not weights:
        raise PluginError(f"sefa: the generator shows no affine weights that act on {context.space!r}")
    context.dimensions(generator)
    return LinearDirections(factorise(weights)[: context.k], context.space)


def factorise(weights: list[Tensor]) -> Tensor:
    """Weights [(outputs, dim)] -> eigenvectors (dim, dim) of AᵀA as rows, float64, largest eigenvalue first.

    Each unit's weights are scaled to length one, as in the official code (a unit without weights stays zero).
    """
    stacked = torch.cat([weight.detach().double().cpu() for weight in weights])
    rows = torch.nn.functional.normalize(stacked, dim=1)
    _, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending; the official np.linalg.eig does not sort
    found: Tensor = vectors.T.flip(0)
    return found
