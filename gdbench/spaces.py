"""Spaces of generators with layers: w, w+ and s as a whole, or some layers of them, as ``w:0-3``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench.errors import UsageError

LAYERED = ("w", "w+", "s")
"""The bases of which some layers may be named."""


@dataclass(frozen=True)
class LayeredSpace:
    """What a space's name says of a generator of ``count`` layers: the base, and the layers that its codes hold.

    In ``w:0-3`` an edit reaches layers 0 to 3 alone, and the others keep the w of the sampled code. ``w+:0-3`` and
    ``s:0-3`` are those layers of w+ (one w for each layer) and of s (style channels, the outputs of the affines).
    """

    base: str
    layers: tuple[int, ...]
    count: int

    @property
    def partial(self) -> bool:
        """Whether some layers are not in it: these keep what the sampled code has."""
        return len(self.layers) < self.count

    @classmethod
    def of(cls, name: str, count: int, family: str, bases: Sequence[str]) -> LayeredSpace:
        """The space called ``name`` of a generator of ``family`` with ``bases``. Raises UsageError."""
        base, colon, text = name.partition(":")
        if base not in bases or (colon and base not in LAYERED):
            raise UsageError(f"{family} has no space {name!r}; it has {', '.join(bases)}, and layers as w:0-3")
        return cls(base, _layers(text, count) if colon else tuple(range(count)), count)

    def styles(self, latents: Tensor, whole: Tensor | None = None) -> Tensor:
        """One w for each layer (n, count, w_dim) of codes in w or w+; what they do not hold is that of ``whole``.

        latents: (n, w_dim) in w; (n, held layers * w_dim) or (n, count, w_dim) in w+. whole: (n, count, w_dim).
        """
        if latents.dim() == 3:
            return latents
        rows = latents[:, None] if self.base == "w" else latents.reshape(len(latents), len(self.layers), -1)
        own = rows.expand(-1, len(self.layers), -1)
        if whole is None:
            return own
        place = {layer: own[:, index] for index, layer in enumerate(self.layers)}
        return torch.stack([place.get(layer, whole[:, layer]) for layer in range(self.count)], 1)


def _layers(text: str, count: int) -> tuple[int, ...]:
    """``"0-3,7"`` -> (0, 1, 2, 3, 7)."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"layers {text!r}: numbers and ranges, as 0-3,7")
        found |= set(range(int(first), int(last if dash else first) + 1))
    if not found or max(found) >= count:
        raise UsageError(f"layers {text!r}: this generator has layers 0 to {count - 1}")
    return tuple(sorted(found))
