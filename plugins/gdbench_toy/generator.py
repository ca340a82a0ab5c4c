"""The generator: a linear layer of planted directions, a squashing, and the picture of the resulting factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, NoParams, Stream, UsageError, normal
from gdbench_toy.picture import NAMES, RESOLUTION, draw, squash

DIM = 64
GAINS = (1.5, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8)
"""How strongly each planted direction acts: all different, so that an ordered method has one right order."""


@dataclass(frozen=True, eq=False)
class Toy:
    """Images of 64 latents, of which 8 orthonormal directions, none along an axis, drive one factor each.

    planted: (8, 64), rows in the order of the domain's factors and of falling strength. What is orthogonal to them
    changes nothing. The only parameters are the rows of ``planted`` and fixed gains.
    """

    planted: Tensor
    device: torch.device
    spaces: tuple[str, ...] = ("z",)
    image_shape: tuple[int, int, int] = (3, RESOLUTION, RESOLUTION)
    domain: str = "toy"
    feature_layers: tuple[str, ...] = ("linear", "factors")

    def dim(self, space: str) -> int:
        """64."""
        self._check(space)
        return DIM

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """``n`` standard normal codes."""
        self._check(space)
        return Codes(normal(rng, n, DIM).to(self.device), space)

    def render(self, codes: Codes) -> Tensor:
        """Images (n, 3, 32, 32) in [-1, 1]."""
        return draw(self.factors(codes))[0]

    def factors(self, codes: Codes) -> Tensor:
        """The exact factors (n, 8) of the images of these codes."""
        return squash(self._linear(codes))

    def features(self, codes: Codes, layer: str) -> Tensor:
        """Layer ``linear``: activations (n, 8), linear in the code; ``factors``: what they are squashed to."""
        if layer not in self.feature_layers:
            raise UsageError(f"toy has no layer {layer!r}; layers: {', '.join(self.feature_layers)}")
        return self._linear(codes) if layer == "linear" else self.factors(codes)

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """The linear layer (8, 64): its right singular vectors are the planted directions, strongest first."""
        self._check(space)
        return {"linear": self._weight()}

    def _weight(self) -> Tensor:
        return self.planted * self.planted.new_tensor(GAINS)[:, None]

    def _linear(self, codes: Codes) -> Tensor:
        self._check(codes.space)
        return codes.latents @ self._weight().T

    def _check(self, space: str) -> None:
        if space not in self.spaces:
            raise UsageError(f"toy has no space {space!r}; spaces: {', '.join(self.spaces)}")


def load(path: Path | None, params: NoParams, device: torch.device) -> Toy:
    """The toy on ``device``. There are no weights: ``path`` must be None, UsageError otherwise."""
    if path is not None:
        raise UsageError(f"toy is analytic and has no weights, got {path}")
    return Toy(_planted().to(device), device)


def _planted() -> Tensor:
    """Orthonormal rows (8, 64) at a fixed random angle to the axes, from the QR of a normal matrix."""
    matrix = Stream(0, "toy/planted").at().standard_normal((DIM, len(NAMES)))
    return torch.from_numpy(np.linalg.qr(matrix).Q.T.astype(np.float32)).contiguous()
