"""The domain `scenes` as gdbench's protocol has it: renders with truth, and the two oracles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gdbench import Factor
from gdbench_scenes import oracle
from gdbench_scenes.factors import FACTORS, truth
from gdbench_scenes.render import render, sample_factors


@dataclass(frozen=True)
class Scenes:
    """Renders at 32 px on `device`; images (n, 3, 32, 32) in [-1, 1], masks (n, 32, 32) in [0, 1]."""

    device: torch.device
    oracles: Mapping[str, oracle.SceneOracle]
    name: str = "scenes"
    distance: str = "oracle a"
    factors: tuple[Factor, ...] = FACTORS

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """New renders."""
        return self.pairs(n, rng)[0]

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """New renders and the exact masks of their objects."""
        images, masks = render(sample_factors(n, rng), oracle.RESOLUTION)
        return torch.from_numpy(images).to(self.device), torch.from_numpy(masks).to(self.device)

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """New renders and their true factors (n,): float32 values and turns, int64 classes."""
        scenes = sample_factors(n, rng)
        images, _ = render(scenes, oracle.RESOLUTION)
        true = {name: values.to(self.device) for name, values in truth(scenes).items()}
        return torch.from_numpy(images).to(self.device), true

    def oracle(self, which: Literal["a", "b"]) -> oracle.SceneOracle:
        """Oracle A (distance, features, labels) or B (scores)."""
        return self.oracles[which]


def load(device: torch.device) -> Scenes:
    """The domain with both oracles on `device`.

    Raises MissingFile or IntegrityError where an oracle's weights are missing or not those of its card.
    """
    return Scenes(device, {"a": oracle.load("a", device), "b": oracle.load("b", device)})
