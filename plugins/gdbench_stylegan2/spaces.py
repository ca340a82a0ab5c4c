"""The spaces of StyleGAN2 between mapping and convolutions: w, w+ and s (style channels), whole or some layers of them.

``w:0-3`` is w of which an edit reaches layers 0 to 3 alone, as GANSpace's published edits do: the other layers keep the
w of the sampled code. ``w+:0-3`` and ``s:0-3`` are those layers of w+ and s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import UsageError
from gdbench_stylegan2.networks import Dense, SynthesisNetwork

BASES = ("w", "z", "w+", "s")
LAYERED = ("w", "w+", "s")


@dataclass(frozen=True)
class Affine:
    """A style affine: its name, the layer whose w it takes, and the module; its outputs are style channels."""

    name: str
    layer: int
    module: Dense

    @property
    def width(self) -> int:
        """How many channels it scales."""
        return int(self.module.weight.shape[0])


@dataclass(frozen=True)
class Space:
    """A space by its name: base w, z, w+ or s, and the layers that codes in it hold, of ``count`` altogether."""

    name: str
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
            raise UsageError(f"stylegan2 has no space {name!r}; it has {', '.join(BASES)}, and layers as w:0-3")
        return cls(name, base, _layers(text, count) if colon else tuple(range(count)), count)


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


def affines(synthesis: SynthesisNetwork) -> list[Affine]:
    """The style affines in the order in which they act; the image's take the w of the layer that follows."""
    found, layer = [], 0
    for name, block in synthesis.named_children():
        names = [inner for inner, _ in block.named_children() if inner.startswith("conv")]
        for inner in (*names, "torgb"):
            found.append(Affine(f"{name}.{inner}", layer, block.get_submodule(f"{inner}.affine")))  # type: ignore[arg-type]
            layer += inner != "torgb"
    return found


def held(space: Space, every: Sequence[Affine]) -> list[Affine]:
    """The affines whose w, or whose channels, codes in ``space`` hold."""
    return [affine for affine in every if affine.layer in space.layers]


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


def channels(space: Space, every: Sequence[Affine], latents: Tensor, whole: Tensor | None) -> list[Tensor]:
    """The style vectors (n, width) of all affines, of codes in s; those that they do not hold come of w, ``whole``."""
    parts = iter(latents.split([affine.width for affine in held(space, every)], 1))  # type: ignore[no-untyped-call]
    found: list[Tensor] = []
    for affine in every:
        if affine.layer in space.layers:
            found.append(next(parts))
        else:
            assert whole is not None
            found.append(affine.module(whole[:, affine.layer]))
    return found


def padded(space: Space, every: Sequence[Affine], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Affine weights (outputs, w_dim) by name as weights (outputs, dim) of w+: zero but for the layer of each."""
    place = {layer: index for index, layer in enumerate(space.layers)}
    made = {}
    for affine in held(space, every):
        weight = weights[affine.name]
        outputs, w_dim = weight.shape
        wide = weight.new_zeros(outputs, len(space.layers), w_dim)
        wide[:, place[affine.layer]] = weight
        made[affine.name] = wide.flatten(1)
    return made
