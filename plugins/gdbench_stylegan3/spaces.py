"""The spaces of StyleGAN3 between mapping and convolutions: w, w+ and s (style channels), whole or some layers of them.

Layer 0 is the input, whose four style channels are cosine, sine and shift of its transform; layer i + 1 is ``L{i}_*``.
``w:0-3`` is w of which an edit reaches layers 0 to 3 alone: the others keep the w of the sampled code. ``w+:0-3`` and
``s:0-3`` are those layers of w+ and s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import UsageError
from gdbench_stylegan3.networks import Dense

BASES = ("w", "z", "w+", "s")
LAYERED = ("w", "w+", "s")


@dataclass(frozen=True)
class Space:
    """A space by its name: base w, z, w+ or s, and the layers that codes in it hold, of ``count`` altogether."""

    base: str
    layers: tuple[int, ...]
    count: int

    @property
    def partial(self) -> bool:
        """Whether some layers are not in it: these keep what the sampled code has."""
        return len(self.layers) < self.count

    @classmethod
    def of(cls, name: str, count: int) -> Space:
        """The space called ``name`` of a generator of ``count`` layers. Raises UsageError."""
        base, colon, text = name.partition(":")
        if base not in BASES or (colon and base not in LAYERED):
            raise UsageError(f"stylegan3 has no space {name!r}; it has {', '.join(BASES)}, and layers as w:0-3")
        return cls(base, _layers(text, count) if colon else tuple(range(count)), count)


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


def layered(space: Space, latents: Tensor, whole: Tensor | None) -> Tensor:
    """One w for each layer (n, layers, w_dim) of codes in w or w+; layers that they do not hold are those of ``whole``.

    latents: (n, w_dim) in w; (n, held layers * w_dim) or (n, layers, w_dim) in w+.
    """
    if latents.dim() == 3:
        return latents
    rows = latents[:, None] if space.base == "w" else latents.reshape(len(latents), len(space.layers), -1)
    own = rows.expand(-1, len(space.layers), -1)
    if whole is None:
        return own
    place = {layer: own[:, index] for index, layer in enumerate(space.layers)}
    return torch.stack([place.get(layer, whole[:, layer]) for layer in range(space.count)], 1)


def channels(space: Space, affines: Sequence[Dense], latents: Tensor, whole: Tensor | None) -> list[Tensor]:
    """The style channels (n, width) of every layer, of codes in s; those that they do not hold come of w, ``whole``."""
    widths = [len(affines[layer].bias) for layer in space.layers]
    own = dict(zip(space.layers, torch.split(latents, widths, 1), strict=True))
    if whole is None:
        return list(own.values())
    return [own[i] if i in own else affine(whole[:, i]) for i, affine in enumerate(affines)]


def padded(space: Space, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights (outputs, w_dim) of the layers of ``space`` as weights (outputs, dim) of w+: zero but for their layer."""
    made = {}
    for place, (name, weight) in enumerate(weights.items()):
        wide = weight.new_zeros(len(weight), len(space.layers), weight.shape[1])
        wide[:, place] = weight
        made[name] = wide.flatten(1)
    return made
