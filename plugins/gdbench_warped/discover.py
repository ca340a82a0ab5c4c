"""Training the fields and the reconstructor together: min E [CE(k, k̂) + λ |ε - ε̂|]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Codes, Context, Generator, Stream, falling, initialised, integers, moments, train, uniform
from gdbench_warped.directions import Frame, WarpedDirections
from gdbench_warped.field import pieces, start, walk
from gdbench_warped.params import WarpedParams
from gdbench_warped.reconstructor import reconstructor

BATCHES, BYTES = 32, 2**28
"""So many batches of base images, and so many bytes, are rendered ahead at most."""

PROBES = 256
"""Codes at which the latent length of a path is measured."""


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, and the coordinates in which paths run."""

    supports: nn.Parameter
    log_gamma: nn.Parameter
    reconstructor: nn.Module
    optimiser: torch.optim.Optimizer
    frame: Frame


@dataclass(frozen=True)
class Batch:
    """What one step sees: codes with their rendered images, paths (n,) and signed lengths (n,)."""

    codes: Codes
    images: Tensor
    index: Tensor
    shift: Tensor


class BaseImages:
    """Unshifted images, rendered ahead without gradient, each used in ``reuse`` pairs; ``at`` depends on no history."""

    def __init__(self, generator: Generator, space: str, stream: Stream, params: WarpedParams) -> None:
        self._generator, self._space, self._stream = generator, space, stream
        self._batch, self._reuse = params.batch, params.reuse
        largest = BYTES // (4 * params.batch * math.prod(generator.image_shape))
        self._batches = max(1, min(BATCHES, largest, math.ceil(params.steps / params.reuse)))
        self._block, self._kept = -1, list[tuple[Codes, Tensor]]()

    def at(self, step: int) -> tuple[Codes, Tensor]:
        """Codes and images (batch, c, h, w) of a step."""
        block, within = divmod(step, self._batches * self._reuse)
        if block != self._block:
            first = block * self._batches
            self._block, self._kept = block, [self._render(first + i) for i in range(self._batches)]
        return self._kept[within % self._batches]

    def _render(self, number: int) -> tuple[Codes, Tensor]:
        codes = self._generator.sample(self._batch, self._space, self._stream.at(number))
        with torch.no_grad():
            return codes, self._generator.render(codes)


def discover(generator: Generator, params: WarpedParams, context: Context) -> WarpedDirections:
    """Learn ``context.k`` gradient fields in ``context.space``.

    Raises PluginError where the loss is no longer a number; the state last saved stays.
    """
    training = prepare(generator, params, context)
    stream = context.stream("discover")
    base = BaseImages(generator, context.space, stream.of("base"), params)

    def step(n: int) -> Tensor:
        _set_rates(training, params, n)
        index, shift = (part.to(context.device) for part in draw(params, context.k, stream, n))
        return train_step(generator, training, Batch(*base.at(n), index, shift), params)

    parts = {name: getattr(training, name) for name in ("supports", "log_gamma", "reconstructor", "optimiser")}
    train(context, params.steps, step, parts, shown=("loss", "accuracy"))
    probes = generator.sample(PROBES, context.space, stream.of("unit").at())
    return WarpedDirections.of(training.supports, training.log_gamma.exp(), training.frame, probes, params.step)


def prepare(generator: Generator, params: WarpedParams, context: Context) -> Training:
    """Fields and reconstructor at their start, on the device."""
    stream, dim = context.stream("discover"), generator.dim(context.space)
    channels, size, _ = generator.image_shape
    network = partial(reconstructor, params.reconstructor, channels, size, context.k)
    judge = initialised(stream.of("reconstructor").at(), network).to(context.device)
    fields = start(stream.of("supports"), context.k, params.dipoles, dim)
    supports, log_gamma = (nn.Parameter(part.to(context.device)) for part in fields)
    groups = [
        {"params": [supports, log_gamma], "lr": params.support_lr, "start": params.support_lr},
        {"params": list(judge.parameters()), "lr": params.lr, "start": params.lr},
    ]
    whiten = params.whiten and context.space != "z"  # the prior of z is white already
    frame = Frame.of(moments(generator, context.space)) if whiten else Frame.identity(dim)
    optimiser = torch.optim.Adam(groups, fused=True)
    return Training(supports, log_gamma, judge, optimiser, frame.to(context.device))


def draw(params: WarpedParams, k: int, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
    """Paths (batch,) int64 and signed lengths (batch,) of a step, on the CPU: both signs equally likely.

    The official sampler draws positive shifts 69 % of the time.
    """
    rng = stream.at(step)
    index = integers(rng, k, params.batch)
    sign = 2 * integers(rng, 2, params.batch) - 1
    return index, sign * uniform(rng, params.shift_min, params.shift_max, params.batch)


def train_step(generator: Generator, training: Training, batch: Batch, params: WarpedParams) -> Tensor:
    """One update; returns loss and accuracy (2,), still on the device."""
    supports, gamma = training.supports[batch.index], training.log_gamma[batch.index].exp()
    begin = training.frame.whitened(batch.codes.latents)
    end = walk(supports, gamma, begin, batch.shift, params.step, pieces(params.shift_max, params.step))
    shifted = batch.codes.shifted((end - begin) @ training.frame.root)
    logits, shift = training.reconstructor(batch.images, generator.render(shifted))
    loss = F.cross_entropy(logits, batch.index) + params.shift_weight * F.l1_loss(shift, batch.shift)
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()
    return torch.stack([loss.detach(), (logits.detach().argmax(1) == batch.index).float().mean()])


def _set_rates(training: Training, params: WarpedParams, step: int) -> None:
    for group in training.optimiser.param_groups:
        group["lr"] = group["start"] * falling(step, params.steps, params.decay)
