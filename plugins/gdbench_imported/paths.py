"""Paths along the gradient of sums of radial functions, as WarpedGANSpace's code defines them (arXiv:2109.13357)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from gdbench import Codes, load_tensors, save_tensors, write_text

TENSORS, FACTS = "directions.safetensors", "directions.json"
STEP = 0.15
"""Latent length of the pieces of a path, as in the code that draws traversals there."""


@dataclass(frozen=True)
class WarpedPaths:
    """``k`` fields f(z) = sum_i a_i exp(-g |z - s_i|^2): supports (k, m, dim), alphas (k, m), gamma (k,) in ``space``.

    A path follows the unit gradient, so that a magnitude is a length in latents.
    """

    supports: Tensor
    alphas: Tensor
    gamma: Tensor
    space: str

    def __len__(self) -> int:
        return len(self.gamma)

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved along path ``index`` by ``magnitude``, backwards where it is negative."""
        start, index = codes.latents.float(), index.cpu()
        end, left = start.clone(), magnitude.to(start)
        for k in sorted(set(index.tolist())):
            rows = (index == k).to(start.device)
            end[rows] = self._walked(k, start[rows], left[rows])
        return codes.shifted((end - start).to(codes.latents))

    def _walked(self, k: int, points: Tensor, left: Tensor) -> Tensor:
        for _ in range(math.ceil(float(left.abs().max()) / STEP - 1e-6)):
            stride = left.clamp(-STEP, STEP)
            points, left = points + stride[:, None] * self.slope(k, points), left - stride
        return points

    def slope(self, k: int, points: Tensor) -> Tensor:
        """The unit gradients (n, dim) of field ``k``; zero where the gradient is."""
        supports, alphas, gamma = (one[k].to(points) for one in (self.supports, self.alphas, self.gamma))
        apart = points[:, None] - supports  # (n, m, dim)
        exponent = -gamma * apart.square().sum(2)
        weight = alphas * (exponent - exponent.amax(1, keepdim=True)).exp()  # scale cancels: nothing underflows
        return F.normalize(-(weight[:, :, None] * apart).sum(1), dim=1)

    def save(self, folder: Path) -> None:
        """Write ``directions.safetensors`` and ``directions.json``."""
        save_tensors(folder / TENSORS, {"supports": self.supports, "alphas": self.alphas, "gamma": self.gamma})
        facts = {"class": "gdbench_imported.paths:WarpedPaths", "space": self.space, "k": len(self)}
        write_text(folder / FACTS, json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> WarpedPaths:
        """The paths that ``save`` wrote."""
        tensors = load_tensors(folder / TENSORS)
        space = json.loads((folder / FACTS).read_text())["space"]
        return cls(tensors["supports"], tensors["alphas"], tensors["gamma"], space)
