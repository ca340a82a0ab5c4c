"""Paths of any sign, length and bend: directions without the conventions that straight ones keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gdbench import Codes, load_tensors, save_tensors, write_text

TENSORS, FACTS = "directions.safetensors", "directions.json"


@dataclass(frozen=True)
class Paths:
    """t -> t * vector + t² * aside.

    vectors (k, dim) of any length and sign; unit (k,): the method's own step; aside (k, dim): zeros where the path is
    straight. reach (k,): a path ends at this |t|. swapped_by_code: a coin that a code's last digits decide swaps the
    sides of a path for that code.
    """

    vectors: Tensor
    space: str
    unit: Tensor
    aside: Tensor | None = None
    reach: Tensor | None = None
    swapped_by_code: bool = False

    def __len__(self) -> int:
        return len(self.vectors)

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved along path ``index`` (n,) by ``magnitude`` (n,)."""
        if self.reach is not None:
            farthest = self.reach.to(magnitude)[index.to(magnitude.device)]
            magnitude = magnitude.clamp(-farthest, farthest)
        t = magnitude.to(codes.latents)[:, None]
        t = t * _coin(codes.latents) if self.swapped_by_code else t
        moved = t * self.vectors.to(t)[index.to(t.device)]
        if self.aside is not None:
            moved = moved + t.square() * self.aside.to(t)[index.to(t.device)]
        return codes.shifted(moved)

    def save(self, folder: Path) -> None:
        """Write ``directions.safetensors`` and ``directions.json``."""
        tensors = {"vectors": self.vectors, "unit": self.unit}
        tensors |= {} if self.aside is None else {"aside": self.aside}
        tensors |= {} if self.reach is None else {"reach": self.reach}
        save_tensors(folder / TENSORS, {name: value.contiguous() for name, value in tensors.items()})
        facts = {"class": "gdbench_acceptance.directions:Paths", "space": self.space, "by_code": self.swapped_by_code}
        write_text(folder / FACTS, json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Paths:
        """The paths that ``save`` wrote."""
        tensors, facts = load_tensors(folder / TENSORS), json.loads((folder / FACTS).read_text())
        optional = (tensors.get("aside"), tensors.get("reach"))
        return cls(tensors["vectors"], facts["space"], tensors["unit"], *optional, facts["by_code"])


def _coin(latents: Tensor) -> Tensor:
    """(n, 1) of +1 and -1, which nothing that can be seen goes with."""
    digits = (latents.abs().sum(1) * 1e3).long() % 2
    coin: Tensor = (1.0 - 2.0 * digits.to(latents))[:, None]
    return coin
