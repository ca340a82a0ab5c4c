"""Curved directions: paths that depend on the code at which they begin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gdbench import Codes, Moments, load_tensors, save_tensors, write_text
from gdbench_warped.field import pieces, slope, walk

TENSORS, FACTS = "directions.safetensors", "directions.json"
FLOOR = 1e-6
"""Eigenvalues of the covariance under this share of the largest count as this share: whitening stays finite."""


@dataclass(frozen=True)
class Frame:
    """Whitened coordinates: y = (w - mean) inverse, and a displacement of y is one of w by ``root``."""

    mean: Tensor
    root: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, moments: Moments) -> Frame:
        """The symmetric whitening of a space."""
        values, vectors = torch.linalg.eigh(moments.covariance)
        deviation = values.clamp_min(FLOOR * float(values[-1])).sqrt()
        root, inverse = (vectors * deviation) @ vectors.T, (vectors / deviation) @ vectors.T
        return cls(moments.mean.float(), root.float(), inverse.float())

    @classmethod
    def identity(cls, dim: int) -> Frame:
        """Coordinates as they are."""
        return cls(torch.zeros(dim), torch.eye(dim), torch.eye(dim))

    def to(self, device: torch.device) -> Frame:
        """The frame on another device."""
        return Frame(self.mean.to(device), self.root.to(device), self.inverse.to(device))

    def whitened(self, latents: Tensor) -> Tensor:
        """(n, dim) -> (n, dim)."""
        return (latents - self.mean) @ self.inverse


@dataclass(frozen=True)
class WarpedDirections:
    """``k`` gradient fields in ``space``.

    supports: (k, 2 dipoles, dim) and gamma: (k,), in the coordinates of ``frame``. step: length there of the pieces of
    a path. unit: (k,) mean latent length of a path of length one there, by which magnitudes become path lengths.
    """

    supports: Tensor
    gamma: Tensor
    frame: Frame
    space: str
    step: float
    unit: Tensor

    @classmethod
    def of(cls, supports: Tensor, gamma: Tensor, frame: Frame, codes: Codes, step: float) -> WarpedDirections:
        """Trained fields; ``unit`` is measured at ``codes``."""
        supports, gamma, frame = supports.detach().cpu(), gamma.detach().cpu(), frame.to(torch.device("cpu"))
        points = frame.whitened(codes.latents.cpu())
        slopes = [slope(support[None], g[None], points) for support, g in zip(supports, gamma, strict=True)]
        unit = [(rows @ frame.root).norm(dim=1).mean() for rows in slopes]
        return cls(supports, gamma, frame, codes.space, step, torch.stack(unit).clamp_min(1e-12))

    def __len__(self) -> int:
        return len(self.unit)

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved along path ``index`` by ``magnitude``, against the gradient where it is negative."""
        device, index = codes.latents.device, index.cpu()
        frame, length = self.frame.to(device), magnitude.cpu().float() / self.unit[index]
        start = frame.whitened(codes.latents.to(frame.mean))
        end = start.clone()
        for k in sorted(set(index.tolist())):  # rows of one direction share its supports: no copy of them for each row
            rows = index == k
            count, supports, gamma = pieces(float(length[rows].abs().max()), self.step), self.supports[k], self.gamma[k]
            moved = (supports[None].to(device), gamma[None].to(device), start[rows], length[rows].to(device))
            end[rows] = walk(*moved, self.step, count)
        return codes.shifted(((end - start) @ frame.root).to(codes.latents))

    def save(self, folder: Path) -> None:
        """Write ``directions.safetensors`` and ``directions.json``."""
        tensors = {"supports": self.supports, "gamma": self.gamma, "unit": self.unit, **vars(self.frame)}
        save_tensors(folder / TENSORS, tensors)
        facts = {"class": "gdbench_warped.directions:WarpedDirections", "space": self.space, "step": self.step}
        write_text(folder / FACTS, json.dumps({**facts, "k": len(self)}, indent=1))

    @classmethod
    def load(cls, folder: Path) -> WarpedDirections:
        """The fields that ``save`` wrote."""
        tensors, facts = load_tensors(folder / TENSORS), json.loads((folder / FACTS).read_text())
        frame = Frame(tensors["mean"], tensors["root"], tensors["inverse"])
        return cls(tensors["supports"], tensors["gamma"], frame, facts["space"], facts["step"], tensors["unit"])
