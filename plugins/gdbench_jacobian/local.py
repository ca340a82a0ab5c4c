"""Local Basis: at w = f(z), the left singular vectors of the Jacobian df/dz of the mapping network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from gdbench import (
    Codes,
    Context,
    Generator,
    LinearDirections,
    PluginError,
    Stream,
    load_tensors,
    save_tensors,
    write_text,
)
from gdbench_jacobian.discover import products
from gdbench_jacobian.params import LocalParams

TENSORS, FACTS = "directions.safetensors", "directions.json"
KEPT = 2**26
"""So many bytes of bases are kept, because evaluation moves the same codes along every direction."""


class Mapped(Generator, Protocol):
    """A generator that maps z to w (capability "mapping")."""

    def map(self, codes: Codes) -> Codes: ...


@dataclass(frozen=True)
class LocalDirections:
    """``k`` directions in w that depend on the code: left singular vectors of df/dz where it was mapped from.

    reference: (k, dim) unit rows that decide signs. unit: (k,) mean singular values: the latent length of one prior
    deviation of z. generator: None until ``bound``.
    """

    reference: Tensor
    unit: Tensor
    generator: Mapped | None = None
    space: str = "w"
    code_dependent: Literal[True] = True
    _kept: dict[bytes, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.unit)

    def bound(self, generator: Mapped) -> LocalDirections:
        """The directions of ``generator``, which must be the one they were discovered in."""
        return replace(self, generator=generator, _kept={})

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved straight along the ``index``-th local direction of each: w + magnitude u_index(z).

        Raises PluginError where no generator is bound, or the codes do not say their z.
        """
        if self.generator is None:
            raise PluginError("local-basis: read back, they move nothing without their generator: bound(generator)")
        if codes.origin is None:
            raise PluginError("local-basis: these codes in w do not say from which z they were mapped (Codes.origin)")
        z = Codes(codes.origin, "z", codes.labels)
        vectors = torch.stack([self._rows(z[i : i + 1])[k] for i, k in enumerate(index.tolist())])
        delta = magnitude.cpu().float()[:, None] * vectors
        return codes.shifted(delta.to(codes.latents))

    def _rows(self, z: Codes) -> Tensor:
        """The signed basis (k, dim) at one code, computed once; it depends on no other code of a batch."""
        key = b"".join(part.cpu().numpy().tobytes() for part in (z.latents, z.labels) if part is not None)
        if key not in self._kept:
            assert self.generator is not None
            if len(self._kept) * self.reference.numel() * 4 >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = signed(basis(self.generator, z)[0][: len(self)], self.reference)
        return self._kept[key]

    def save(self, folder: Path) -> None:
        """Write ``directions.safetensors`` and ``directions.json``: signs and units; the basis is the generator's."""
        save_tensors(folder / TENSORS, {"reference": self.reference, "unit": self.unit})
        facts = {"class": "gdbench_jacobian.local:LocalDirections", "space": self.space, "k": len(self)}
        write_text(folder / FACTS, json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> LocalDirections:
        """What ``save`` wrote, not bound to a generator yet."""
        tensors = load_tensors(folder / TENSORS)
        return cls(tensors["reference"], tensors["unit"])


@torch.no_grad()
def discover(generator: Mapped, params: LocalParams, context: Context) -> LocalDirections:
    """The ``context.k`` local directions of largest singular value. Nothing is learned, rendered or drawn by the seed.

    Raises PluginError where the space is not w, K exceeds its dimension or that of z, or its codes do not say their z.
    """
    if context.space != "w":
        raise PluginError(f"local-basis: its directions live in w, not in {context.space!r}")
    stream = Stream(0, "local-basis")
    if generator.sample(1, "w", stream.at()).origin is None:
        raise PluginError("local-basis: this generator's codes in w do not say from which z they were mapped")
    total, values = torch.zeros(()), torch.zeros(())
    with context.reporter.task("differentiate", params.codes) as task:
        for z in generator.sample(params.codes, "z", stream.at()).chunks(1):
            rows, scale = basis(generator, z)
            total, values = total + (rows.T * scale.square()) @ rows, values + scale
            task.advance()
    if context.k > len(values):
        raise PluginError(
            f"K = {context.k} directions were asked for, but the mapping has a rank of {len(values)} at most"
        )
    average = torch.linalg.eigh(total).eigenvectors.T.flip(0)[: context.k]
    unit = (values / params.codes)[: context.k].float()
    return LocalDirections(LinearDirections(average, "w").vectors, unit, generator)


def basis(generator: Mapped, z: Codes) -> tuple[Tensor, Tensor]:
    """Left singular vectors of df/dz at one code as rows (r, dim), and singular values (r,), largest first, float64.

    One product with the Jacobian for each dimension of z: exact, by forward-mode differentiation of the mapping alone.
    """
    tangents = torch.eye(z.latents.shape[1], device=z.latents.device)
    transposed = products(lambda codes: generator.map(codes).latents, z.repeated(len(tangents)), tangents)
    _, values, rows = torch.linalg.svd(transposed.double().cpu(), full_matrices=False)
    return rows, values


def signed(rows: Tensor, reference: Tensor) -> Tensor:
    """Rows turned to the side of the reference that each resembles most, float32: nearby codes agree in sign."""
    cosines = rows.float() @ reference.T
    nearest = cosines.gather(1, cosines.abs().argmax(1, keepdim=True))
    return torch.where(nearest < 0, -rows, rows).float()
