"""Straight directions: unit vectors with one sign convention, and how directions are read back from disk."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.errors import IntegrityError, PluginError
from gdbench.files import parsing, write_text
from gdbench.protocols import Bindable, Directions, Generator
from gdbench.tensors import load_tensors, save_tensors

TENSORS, FACTS = "directions.safetensors", "directions.json"


@dataclass(frozen=True)
class LinearDirections:
    """``k`` straight directions.

    vectors: (k, dim), made unit length with the component of largest absolute value positive, so that equal
    directions give equal files. unit: (k,) latent length of one step of the method's own scale (1 where it has none):
    only metrics that are not calibrated use it. A zero vector stays zero: a dead direction.
    """

    vectors: Tensor
    space: str
    unit: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.vectors, Tensor):
            given = f"{type(self.vectors).__module__.partition('.')[0]}.{type(self.vectors).__name__}"
            raise PluginError(f"directions must be a torch tensor (k, dim), got {given}: torch.from_numpy makes one")
        vectors = self.vectors.detach().to("cpu", torch.float32)
        if vectors.dim() != 2:
            raise PluginError(f"directions must be (k, dim), got shape {tuple(vectors.shape)}")
        if strange := (~torch.isfinite(vectors).all(1)).nonzero()[:, 0].tolist():
            raise PluginError(
                f"directions must be finite; NaN or infinite values in rows {', '.join(map(str, strange[:8]))}"
            )
        length = torch.linalg.vector_norm(vectors.double(), dim=1, keepdim=True)
        vectors = (vectors.double() / length.clamp_min(1e-12)).float()
        largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
        vectors = torch.where(largest < 0, -vectors, vectors)
        unit = torch.ones(len(vectors)) if self.unit is None else self.unit.detach().to("cpu", torch.float32)
        object.__setattr__(self, "vectors", vectors.contiguous())
        object.__setattr__(self, "unit", unit.contiguous())

    def __len__(self) -> int:
        return len(self.vectors)

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved by ``magnitude * vectors[index]``."""
        vectors = self.vectors.to(codes.latents.device)
        index, magnitude = index.to(vectors.device), magnitude.to(vectors)
        return codes.shifted(magnitude[:, None] * vectors[index])

    def save(self, folder: Path) -> None:
        """Write ``directions.safetensors`` and ``directions.json``."""
        assert self.unit is not None
        save_tensors(folder / TENSORS, {"vectors": self.vectors, "unit": self.unit})
        facts = {"class": "gdbench.directions:LinearDirections", "space": self.space, "k": len(self)}
        write_text(folder / FACTS, json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> LinearDirections:
        """The directions that ``save`` wrote."""
        tensors = load_tensors(folder / TENSORS)
        return cls(tensors["vectors"], json.loads((folder / FACTS).read_text())["space"], tensors["unit"])


def orthonormal(rows: Tensor) -> Tensor:
    """The rows (k, dim), k <= dim, made orthonormal in order, as by Gram and Schmidt; differentiable.

    The QR decomposition whose R has a positive diagonal, which makes it unique, and the Q of normal rows uniformly
    distributed (Mezzadri 2007, section 5).
    """
    q, r = torch.linalg.qr(rows.T)
    made: Tensor = (q * r.diagonal().sign()).T
    return made


def load_directions(folder: Path, classes: frozenset[str], generator: Generator | None = None) -> Directions:
    """Directions saved in ``folder`` by a class among ``classes`` ("module:Class" of core and installed plugins).

    Those that are computed by their generator (they have ``bound``) are bound to ``generator`` where it is given.

    The class name comes from a file, so only names that an installed plugin's package owns are imported.
    """
    with parsing(folder / FACTS):
        name = json.loads((folder / FACTS).read_text())["class"]
    module, _, attribute = str(name).partition(":")
    if module.partition(".")[0] not in classes:
        raise IntegrityError(f"{folder / FACTS}: class {name!r} belongs to no installed plugin")
    with parsing(folder / TENSORS):
        loaded: Directions = getattr(importlib.import_module(module), attribute).load(folder)
    return loaded if generator is None or not isinstance(loaded, Bindable) else loaded.bound(generator)
