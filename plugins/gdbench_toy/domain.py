"""The domain: the law of the toy's factors, exact images, masks and truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gdbench import Factor, normal
from gdbench_toy.generator import GAINS
from gdbench_toy.oracles import ToyOracle, oracle_a, oracle_b
from gdbench_toy.picture import FACTORS, NAMES, draw, squash


@dataclass(frozen=True)
class ToyDomain:
    """Pictures whose factors follow the generator's own law, independently of it."""

    device: torch.device
    name: str = "toy"
    distance: str = "oracle a"
    factors: tuple[Factor, ...] = FACTORS

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """``n`` pictures (n, 3, 32, 32)."""
        return draw(self._factors(n, rng))[0]

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """``n`` pictures with exact masks (n, 32, 32)."""
        return draw(self._factors(n, rng))

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """``n`` pictures with exact factors."""
        factors = self._factors(n, rng)
        return draw(factors)[0], dict(zip(NAMES, factors.unbind(1), strict=True))

    def oracle(self, which: Literal["a", "b"]) -> ToyOracle:
        """Oracle ``a`` or ``b``."""
        return oracle_a() if which == "a" else oracle_b()

    def _factors(self, n: int, rng: np.random.Generator) -> Tensor:
        activations = normal(rng, n, len(NAMES)) * torch.tensor(GAINS)
        return squash(activations).to(self.device)


def load(device: torch.device) -> ToyDomain:
    """The domain, whose images and truth come on ``device``."""
    return ToyDomain(device)
