"""Training orthonormal directions and the encoder together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gdbench import (
    Codes,
    Context,
    Generator,
    LinearDirections,
    PluginError,
    initialised,
    integers,
    moments,
    normal,
    orthonormal,
    train,
    uniform,
)
from gdbench_disco.encoder import Encoder
from gdbench_disco.loss import contrast, entropy, variations
from gdbench_disco.params import DiscoParams


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, and the map (dim, dim) from whitened displacements into the space."""

    free: nn.Parameter
    encoder: nn.Module
    optimiser: torch.optim.Optimizer
    root: Tensor

    def vectors(self) -> Tensor:
        """Directions in the space: rows (k, dim), orthonormal in whitened coordinates."""
        return orthonormal(self.free) @ self.root


def discover(generator: Generator, params: DiscoParams, context: Context) -> LinearDirections:
    """Learn ``context.k`` directions in ``context.space``.

    Raises PluginError where K is 1 (nothing to contrast with) or exceeds the dimension, or for a loss that is no longer
    a number; the state last saved stays.
    """
    training = prepare(generator, params, context)
    stream = context.stream("discover")

    def step(n: int) -> Tensor:
        rng = stream.at(n)
        index, shift = (part.to(context.device) for part in draw(params, context.k, rng))
        return train_step(generator, training, generator.sample(len(index), context.space, rng), index, shift, params)

    parts: dict[str, Any] = {"free": training.free, "encoder": training.encoder, "optimiser": training.optimiser}
    pairs = min(params.directions, context.k) * params.codes
    train(context, params.images // (2 * pairs), step, parts, ("loss", "contrast"))
    vectors = training.vectors()
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def prepare(generator: Generator, params: DiscoParams, context: Context) -> Training:
    """Random orthonormal directions and the encoder, on the device."""
    dim, stream = generator.dim(context.space), context.stream("discover")
    if not 2 <= context.k <= dim:
        raise PluginError(f"disco contrasts 2 to {dim} orthonormal directions here; K = {context.k} were asked for")
    network = partial(Encoder, params.encoder == "official", *generator.image_shape[:2], params.width)
    encoder = initialised(stream.of("encoder").at(), network).to(context.device)
    free = orthonormal(normal(stream.of("orthonormal").at(), context.k, dim))
    root = torch.eye(dim)
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root().float()
    parameter = nn.Parameter(free.to(context.device))
    groups = [
        {"params": [parameter], "lr": params.direction_lr},
        {"params": list(encoder.parameters()), "lr": params.lr},
    ]
    return Training(parameter, encoder, torch.optim.Adam(groups, fused=True), root.to(context.device))


def draw(params: DiscoParams, k: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Directions (n,) int64, each ``codes`` times, and signed shifts (n,) of a step, on the CPU."""
    chosen = torch.from_numpy(rng.permutation(k)[: params.directions])
    index = chosen.repeat_interleave(params.codes)
    sign = 2 * integers(rng, 2, len(index)) - 1
    return index, sign * uniform(rng, params.shift_min, params.shift_max, len(index))


def train_step(
    generator: Generator, training: Training, codes: Codes, index: Tensor, shift: Tensor, params: DiscoParams
) -> Tensor:
    """One update; returns loss and its contrastive part (2,), still on the device."""
    with torch.no_grad():
        before = generator.render(codes)
    after = generator.render(codes.shifted(shift[:, None] * training.vectors()[index]))
    rows = variations(*training.encoder(torch.cat([before, after])).chunk(2))
    contrastive = contrast(rows, index, params.flip)
    loss = contrastive + params.entropy * entropy(rows)
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()
    return torch.stack([loss.detach(), contrastive.detach()])
