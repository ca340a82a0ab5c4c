"""The spaces of StyleGAN3 between mapping and convolutions: w, w+ and s (style channels), whole or some layers of them.

Layer 0 is the input, whose four style channels are cosine, sine and shift of its transform; layer i + 1 is ``L{i}_*``.
``w:0-3`` is w of which an edit reaches layers 0 to 3 alone: the others keep the w of the sampled code. ``w+:0-3`` and
``s:0-3`` are those layers of w+ and s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gdbench import LayeredSpace
from gdbench_stylegan3.networks import Dense

BASES = ("w", "z", "w+", "s")


def channels(space: LayeredSpace, affines: Sequence[Dense], latents: Tensor, whole: Tensor | None) -> list[Tensor]:
    """The style channels (n, width) of every layer, of codes in s; those that they do not hold come of w, ``whole``."""
    widths = [len(affines[layer].bias) for layer in space.layers]
    own = dict(zip(space.layers, torch.split(latents, widths, 1), strict=True))
    if whole is None:
        return list(own.values())
    return [own[i] if i in own else affine(whole[:, i]) for i, affine in enumerate(affines)]


def padded(space: LayeredSpace, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights (outputs, w_dim) of the layers of ``space`` as weights (outputs, dim) of w+: zero but for their layer."""
    made = {}
    for place, (name, weight) in enumerate(weights.items()):
        wide = weight.new_zeros(len(weight), len(space.layers), weight.shape[1])
        wide[:, place] = weight
        made[name] = wide.flatten(1)
    return made
