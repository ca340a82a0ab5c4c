"""The spaces of StyleGAN2 between mapping and convolutions: w, w+ and s (style channels), whole or some layers of them.

``w:0-3`` is w of which an edit reaches layers 0 to 3 alone, as GANSpace's published edits do: the other layers keep the
w of the sampled code. ``w+:0-3`` and ``s:0-3`` are those layers of w+ and s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gdbench import LayeredSpace
from gdbench_stylegan2.networks import Dense, SynthesisNetwork

BASES = ("w", "z", "w+", "s")


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


def affines(synthesis: SynthesisNetwork) -> list[Affine]:
    """The style affines in the order in which they act; the image's take the w of the layer that follows."""
    found, layer = [], 0
    for name, block in synthesis.named_children():
        names = [inner for inner, _ in block.named_children() if inner.startswith("conv")]
        for inner in (*names, "torgb"):
            found.append(Affine(f"{name}.{inner}", layer, block.get_submodule(f"{inner}.affine")))  # type: ignore[arg-type]
            layer += inner != "torgb"
    return found


def held(space: LayeredSpace, every: Sequence[Affine]) -> list[Affine]:
    """The affines whose w, or whose channels, codes in ``space`` hold."""
    return [affine for affine in every if affine.layer in space.layers]


def channels(space: LayeredSpace, every: Sequence[Affine], latents: Tensor, whole: Tensor | None) -> list[Tensor]:
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


def padded(space: LayeredSpace, every: Sequence[Affine], weights: dict[str, Tensor]) -> dict[str, Tensor]:
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
