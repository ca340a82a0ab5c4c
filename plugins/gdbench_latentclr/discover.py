"""Training unit vectors by contrast: the global form of the method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Codes, Context, Generator, LinearDirections, PluginError, integers, moments, normal, train, uniform
from gdbench_latentclr.loss import contrast
from gdbench_latentclr.params import LatentclrParams


class Featured(Generator, Protocol):
    """A generator that shows intermediate layers (capability "features")."""

    feature_layers: tuple[str, ...]

    def features(self, codes: Codes, layer: str) -> Tensor: ...


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, and the map (dim, dim) from whitened displacements into the space."""

    free: nn.Parameter
    optimiser: torch.optim.Optimizer
    root: Tensor

    def vectors(self) -> Tensor:
        """Directions in the space: rows (k, dim), of unit length in whitened coordinates."""
        return F.normalize(self.free, dim=1) @ self.root


def discover(generator: Featured, params: LatentclrParams, context: Context) -> LinearDirections:
    """Learn ``context.k`` directions in ``context.space``.

    Raises PluginError for a layer that does not exist, K < 2 (nothing to contrast with), or a loss that is no longer a
    number; the state last saved stays.
    """
    if context.k < 2:
        raise PluginError("latentclr contrasts directions with one another: ask for two or more")
    layer, steps = chosen(generator, params.layer), params.images // (params.batch * (context.k + 1))
    training = prepare(generator, params, context)
    stream = context.stream("discover")

    def step(n: int) -> Tensor:
        rng = stream.at(n)
        codes, shift = generator.sample(params.batch, context.space, rng), draw(params, rng)
        return train_step(generator, training, codes, shift, layer, params.temperature)[None]

    train(context, steps, step, {"free": training.free, "optimiser": training.optimiser})
    vectors = training.vectors()
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def chosen(generator: Featured, layer: str) -> str:
    """The name of the layer, the middle one of all for "middle". Raises PluginError where none has this name."""
    layers = generator.feature_layers
    if layer == "middle" and layers:
        return layers[len(layers) // 2]
    if layer not in layers:
        raise PluginError(f"latentclr: the generator shows no layer {layer!r}; it shows {', '.join(layers) or 'none'}")
    return layer


def prepare(generator: Generator, params: LatentclrParams, context: Context) -> Training:
    """Normally distributed vectors, on the device."""
    dim = generator.dim(context.space)
    free = normal(context.stream("discover").of("vectors").at(), context.k, dim) / math.sqrt(dim)
    root = torch.eye(dim)
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root().float()
    parameter = nn.Parameter(free.to(context.device))
    optimiser = torch.optim.Adam([parameter], params.lr, weight_decay=params.weight_decay, fused=True)
    return Training(parameter, optimiser, root.to(context.device))


def draw(params: LatentclrParams, rng: np.random.Generator) -> float:
    """The signed shift of a step."""
    shift = float(uniform(rng, params.shift_min, params.shift_max, 1))
    return -shift if params.both_signs and int(integers(rng, 2, 1)) else shift


def train_step(
    generator: Featured, training: Training, codes: Codes, shift: float, layer: str, temperature: float
) -> Tensor:
    """One update; returns the loss, still on the device."""
    vectors, n = training.vectors(), len(codes)
    with torch.no_grad():
        before = generator.features(codes, layer).flatten(1)
    index = torch.arange(n, device=vectors.device).repeat(len(vectors))
    edited = codes[index].shifted(shift * vectors.repeat_interleave(n, 0))
    after = generator.features(edited, layer).reshape(len(vectors), n, -1)
    loss = contrast(after - before, temperature).mean()
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()
    return loss.detach()
