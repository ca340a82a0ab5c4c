"""Training A and the reconstructor together: min E [CE(k, k̂) + λ |ε - ε̂|] (equation 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Codes, Context, Directions, Generator, LinearDirections, falling, initialised, moments, train
from gdbench_voynov import forms
from gdbench_voynov.base import BaseImages
from gdbench_voynov.curved import CurvedDirections
from gdbench_voynov.execution import Calls, arrange
from gdbench_voynov.parallel import ALONE, Ranks, ranks_wanted, shared, synced
from gdbench_voynov.params import VoynovParams
from gdbench_voynov.reconstructors import Reconstructor
from gdbench_voynov.shifts import draw


@dataclass(frozen=True)
class Batch:
    """What one step sees: codes with their rendered images, directions (n,) and signed shifts (n,)."""

    codes: Codes
    images: Tensor
    index: Tensor
    shift: Tensor


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, the root (dim, dim) that maps whitened shifts into the space, if any, and how the
    parts are called."""

    form: nn.Module
    reconstructor: nn.Module
    optimiser: torch.optim.Optimizer
    root: Tensor | None
    calls: Calls


def discover(generator: Generator, params: VoynovParams, context: Context) -> Directions:
    """Learn ``context.k`` directions in ``context.space``.

    Raises PluginError where K exceeds the dimension and the form is orthonormal, or a loss or the parameters at the end
    are no longer numbers; the state last saved stays.
    Raises UsageError where this machine cannot do what ``precision``, ``compile``, ``devices`` or ``nodes`` ask for.
    """
    if ranks_wanted(params) == 1:
        return learn(generator, params, context, ALONE)
    return shared(partial(learn, generator, params), params, context)


def learn(generator: Generator, params: VoynovParams, context: Context, ranks: Ranks) -> Directions:
    """Train, as one of ``ranks``."""
    training = prepare(generator, params, context, ranks)
    stream = context.stream("discover")
    base = BaseImages(generator, context.space, stream.of("base"), params, training.calls.base)

    def step(n: int) -> Tensor:
        _set_rate(training, params, n)
        index, shift = (part.to(context.device) for part in draw(params, context.k, stream.at(n)))
        return train_step(training, Batch(*base.at(n), index, shift), params.shift_weight)

    scaler = training.calls.scaler
    parts: dict[str, Any] = {
        "form": training.form,
        "reconstructor": training.reconstructor,
        "optimiser": training.optimiser,
    }
    train(
        context, params.steps, step, parts | ({"scaler": scaler} if scaler.is_enabled() else {}), ("loss", "accuracy")
    )
    return directions(training, params, context)


def prepare(generator: Generator, params: VoynovParams, context: Context, ranks: Ranks = ALONE) -> Training:
    """A and the reconstructor at their start, on the device."""
    stream, dim = context.stream("discover"), generator.dim(context.space)
    channels, size, _ = generator.image_shape
    form = forms.build(params.form, stream, context.k, dim).to(context.device)
    network = partial(Reconstructor, params.reconstructor, channels, size, context.k, params.resize)
    reconstructor = initialised(stream.of("reconstructor").at(), network).to(context.device)
    reconstructor = reconstructor if ranks.world == 1 else synced(reconstructor, ranks.world)
    optimiser = torch.optim.Adam([*form.parameters(), *reconstructor.parameters()], params.lr, fused=True)
    root = None
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root().float().to(context.device)
    calls = arrange(form, reconstructor, generator, params, context.add_cost, ranks)
    return Training(form, reconstructor, optimiser, root, calls)


def train_step(training: Training, batch: Batch, shift_weight: float) -> Tensor:
    """One update; returns loss and accuracy (2,), still on the device.

    Gradients flow through the shifted image to A only: the generator is frozen and the base image was rendered before.
    """
    calls, mine = training.calls, training.calls.ranks.share(len(batch.index))
    delta = calls.form(batch.index, batch.shift)  # of the whole batch: the perceptron has a batch norm
    delta = delta if training.root is None else delta @ training.root
    index, images = batch.index[mine], batch.images[mine]
    logits, shift = calls.read(images, calls.render(batch.codes[mine].shifted(delta[mine])))
    loss = F.cross_entropy(logits, index) + shift_weight * F.l1_loss(shift, batch.shift[mine])
    training.optimiser.zero_grad()
    calls.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    calls.add_cost(*[calls.ranks.unreported(len(batch.index))] * 2)
    calls.scaler.step(training.optimiser)
    calls.scaler.update()
    return calls.ranks.mean(torch.stack([loss.detach(), (logits.detach().argmax(1) == index).float().mean()]))


def directions(training: Training, params: VoynovParams, context: Context) -> Directions:
    """What was learned: straight columns S^(1/2) a_k, whose length is the method's own unit, or curved paths."""
    if not isinstance(training.form, forms.Columns):
        return CurvedDirections.of(training.form, training.root, context.space, context.k, params.shift_max)
    with torch.no_grad():
        vectors = training.form.matrix().T
        vectors = vectors if training.root is None else vectors @ training.root
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def _set_rate(training: Training, params: VoynovParams, step: int) -> None:
    for group in training.optimiser.param_groups:
        group["lr"] = params.lr * falling(step, params.steps, params.decay)
