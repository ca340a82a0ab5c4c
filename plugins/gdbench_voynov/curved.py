"""Curved directions: paths through the latent space given by a small frozen network (forms `projective` and `fc`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gdbench import Codes, load_tensors, save_tensors, write_text
from gdbench_voynov import forms

TENSORS, FACTS = "directions.safetensors", "directions.json"


@dataclass(frozen=True)
class CurvedDirections:
    """``k`` paths in ``space``.

    form: maps (index, shift) to whitened displacements. root: (dim, dim), or None where shifts are not whitened.
    unit: (k,) mean latent length of a shift of one, by which magnitudes (latent length) become shifts.
    """

    form: nn.Module
    root: Tensor | None
    space: str
    unit: Tensor

    @classmethod
    def of(cls, form: nn.Module, root: Tensor | None, space: str, k: int, longest: float) -> CurvedDirections:
        """The paths of a trained form, frozen; ``unit`` is measured at half the ``longest`` shift, both signs."""
        form = form.eval().requires_grad_(False).cpu()
        raw = cls(form, None if root is None else root.cpu(), space, torch.ones(k))
        index, shift = torch.arange(k).repeat(2), torch.tensor([longest / 2, -longest / 2]).repeat_interleave(k)
        lengths = raw.delta(index, shift).norm(dim=1).view(2, k).mean(0)
        return cls(form, raw.root, space, (2 * lengths / longest).clamp_min(1e-12))

    def __len__(self) -> int:
        return len(self.unit)

    def delta(self, index: Tensor, magnitude: Tensor) -> Tensor:
        """Displacements (n, dim) on the CPU."""
        with torch.no_grad():
            moved: Tensor = self.form(index, magnitude / self.unit[index])
        return moved if self.root is None else moved @ self.root

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved along path ``index`` by ``magnitude``; the path does not depend on the code."""
        return codes.shifted(self.delta(index.cpu(), magnitude.cpu().float()).to(codes.latents))

    def save(self, folder: Path) -> None:
        """Write ``directions.safetensors`` and ``directions.json``."""
        tensors = {f"form.{name}": tensor.contiguous() for name, tensor in self.form.state_dict().items()}
        root = {} if self.root is None else {"root": self.root.contiguous()}
        save_tensors(folder / TENSORS, {"unit": self.unit, **root, **tensors})
        name = {forms.Projective: "projective", forms.Perceptron: "fc"}[type(self.form)]
        facts = {"class": "gdbench_voynov.curved:CurvedDirections", "space": self.space, "k": len(self), "form": name}
        write_text(folder / FACTS, json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> CurvedDirections:
        """The paths that ``save`` wrote."""
        tensors, facts = load_tensors(folder / TENSORS), json.loads((folder / FACTS).read_text())
        state = {name.removeprefix("form."): tensor for name, tensor in tensors.items() if name.startswith("form.")}
        form = forms.restore(facts["form"], state)
        return cls(form.eval().requires_grad_(False), tensors.get("root"), facts["space"], tensors["unit"])
