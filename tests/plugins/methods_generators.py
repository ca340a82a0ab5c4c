"""Small frozen generators for the tests of methods."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from gdbench_toy.generator import load as load_toy
from scipy.linalg import subspace_angles
from torch import Tensor, nn

from gdbench import Codes, Context, NoParams, Stream, initialised, normal

CPU = torch.device("cpu")
DIM = 12


def context(k: int = 4, space: str = "z", seed: int = 0, **changes: object) -> Context:
    """A context on the CPU that shows nothing."""
    return replace(Context(seed, CPU, k, space), **changes)  # type: ignore[arg-type]


def planted_angle(vectors: Tensor) -> float:
    """Median principal angle, in degrees, between directions (8, 64) and those that are planted in toy."""
    planted = load_toy(None, NoParams(), CPU).planted
    return float(np.degrees(np.median(subspace_angles(vectors.double().numpy().T, planted.double().numpy().T))))


class Convnet:
    """A random convolutional generator of 16x16 images, with a curved, anisotropic w."""

    spaces = ("z", "w")
    image_shape = (3, 16, 16)
    domain = "test"
    device = CPU
    feature_layers = ("first", "wide")

    def __init__(self) -> None:
        self.network = initialised(Stream(0, "test/convnet").at(), _network).eval().requires_grad_(False)
        self.mapping = normal(Stream(0, "test/mapping").at(), DIM, DIM) * torch.logspace(0, -2, DIM)

    def dim(self, space: str) -> int:
        return DIM

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        z = normal(rng, n, DIM)
        return Codes(z if space == "z" else torch.tanh(z) @ self.mapping + 3.0, space)

    def render(self, codes: Codes) -> Tensor:
        images: Tensor = self.network(codes.latents)
        return images

    def features(self, codes: Codes, layer: str) -> Tensor:
        return torch.tanh(codes.latents @ self.mapping if layer == "first" else self.network[0](codes.latents))

    def modulation_weights(self, space: str) -> dict[str, Tensor]:
        return {"linear": self.network[0].weight}


def _network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(DIM, 8 * 16),
        nn.Unflatten(1, (8, 4, 4)),
        nn.Upsample(scale_factor=4),
        nn.Conv2d(8, 3, 3, padding=1),
        nn.Tanh(),
    )


@dataclass(frozen=True)
class Blank:
    """A generator of empty images that costs nothing, for counting."""

    spaces: tuple[str, ...] = ("z",)
    image_shape: tuple[int, int, int] = (1, 4, 4)
    domain: str = "test"
    device: torch.device = CPU

    def dim(self, space: str) -> int:
        return 1

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(normal(rng, n, 1), space)

    def render(self, codes: Codes) -> Tensor:
        return codes.latents[:, :, None, None].expand(-1, -1, 4, 4)
