"""Learning an orthonormal basis of the space under a penalty, and choosing its strongest directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gdbench import (
    Codes,
    Context,
    Generator,
    LinearDirections,
    Stream,
    falling,
    integers,
    moments,
    normal,
    orthonormal,
    train,
    uniform,
)
from gdbench_penalties.params import PenaltyParams
from gdbench_penalties.penalties import Function, hessian_penalty, orojar_penalty

CODES = 4
"""Codes at which the strength of each direction is measured, CODES x (2 dim + 1) images."""

Penalty = Callable[[Function, Tensor, float], Tensor]


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, and the map (dim, dim) from whitened displacements into the space."""

    free: nn.Parameter
    optimiser: torch.optim.Optimizer
    root: Tensor

    def vectors(self) -> Tensor:
        """All directions in the space: rows (dim, dim), orthonormal in whitened coordinates."""
        return orthonormal(self.free) @ self.root


def hessian(generator: Generator, params: PenaltyParams, context: Context) -> LinearDirections:
    """Directions of a basis with small Hessian penalty; see ``learn``."""
    return learn(generator, params, context, hessian_penalty)


def orojar(generator: Generator, params: PenaltyParams, context: Context) -> LinearDirections:
    """Directions of a basis with small orthogonal-Jacobian penalty; see ``learn``."""
    return learn(generator, params, context, orojar_penalty)


def learn(generator: Generator, params: PenaltyParams, context: Context, penalty: Penalty) -> LinearDirections:
    """The ``context.k`` strongest of a whole basis of the space, strongest first.

    A whole basis, because K < dim directions make either penalty zero by doing nothing.
    Raises PluginError where K exceeds the dimension or the loss is no longer a number; the state last saved stays.
    """
    training = prepare(generator, params, context)
    stream = context.stream("discover")

    def step(n: int) -> Tensor:
        _set_rate(training, params, n)
        return train_step(generator, training, params, penalty, stream.at(n), context.space)[None]

    train(context, params.steps, step, {"free": training.free, "optimiser": training.optimiser}, (penalty.__name__,))
    return strongest(generator, training, stream.of("strength"), context)


def prepare(generator: Generator, params: PenaltyParams, context: Context) -> Training:
    """A random orthonormal basis, on the device."""
    dim = context.dimensions(generator)
    free = orthonormal(normal(context.stream("discover").of("orthonormal").at(), dim, dim))
    root = torch.eye(dim)
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root().float()
    parameter = nn.Parameter(free.to(context.device))
    optimiser = torch.optim.Adam([parameter], params.lr, fused=True)
    return Training(parameter, optimiser, root.to(context.device))


def train_step(
    generator: Generator,
    training: Training,
    params: PenaltyParams,
    penalty: Penalty,
    rng: np.random.Generator,
    space: str,
) -> Tensor:
    """One update; returns the penalty, still on the device."""
    codes = generator.sample(params.batch, space, rng)
    dim, device = len(training.free), training.free.device
    signs = (2 * integers(rng, 2, params.probes, params.batch, dim) - 1).float().to(device)
    index, reach = integers(rng, dim, params.batch), uniform(rng, -params.reach, params.reach, params.batch)
    vectors = training.vectors()
    codes = codes.shifted(reach.to(device)[:, None] * vectors[index.to(device)])
    loss = penalty(rendering(generator, codes, vectors), signs, params.epsilon)
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()
    return loss.detach()


def rendering(generator: Generator, codes: Codes, vectors: Tensor) -> Function:
    """Coordinates (j, n, k) of displacements of n codes along rows (k, dim) -> flat images (j, n, width)."""

    def function(coordinates: Tensor) -> Tensor:
        j, n, _ = coordinates.shape
        repeated = codes[torch.arange(n, device=vectors.device).repeat(j)]
        return generator.render(repeated.shifted((coordinates @ vectors).flatten(0, 1))).reshape(j, n, -1)

    return function


def strongest(generator: Generator, training: Training, stream: Stream, context: Context) -> LinearDirections:
    """The ``context.k`` directions along which a step of one, either way, changes images most, in that order."""
    with torch.no_grad():
        vectors = training.vectors()
        codes = generator.sample(CODES, context.space, stream.at())
        before = generator.render(codes)

        def change(step: Tensor) -> Tensor:
            return (generator.render(codes.shifted(step)) - before).square().mean()

        changes = torch.stack([change(vector) + change(-vector) for vector in vectors])
        chosen = vectors[changes.argsort(descending=True, stable=True)[: context.k]]
    return LinearDirections(chosen, context.space, chosen.norm(dim=1))


def _set_rate(training: Training, params: PenaltyParams, step: int) -> None:
    for group in training.optimiser.param_groups:
        group["lr"] = params.lr * falling(step, params.steps, params.decay)
