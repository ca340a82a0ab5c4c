"""Training A and the reconstructor together: min E [CE(k, k̂) + λ |ε - ε̂|] (equation 1 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Codes, Context, Directions, Generator, LinearDirections, initialised, moments, train
from gdbench_voynov import forms
from gdbench_voynov.base import BaseImages
from gdbench_voynov.curved import CurvedDirections
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
    """Everything that a step changes, and the root (dim, dim) that maps whitened shifts into the space, if any."""

    form: nn.Module
    reconstructor: nn.Module
    optimiser: torch.optim.Optimizer
    root: Tensor | None


def discover(generator: Generator, params: VoynovParams, context: Context) -> Directions:
    """Learn ``context.k`` directions in ``context.space``.

    Raises PluginError where K exceeds the dimension or the loss is no longer a number; the state last saved stays.
    """
    training = prepare(generator, params, context)
    stream = context.stream("discover")
    base = BaseImages(generator, context.space, stream.of("base"), params)

    def step(n: int) -> Tensor:
        _set_rate(training, params, n)
        index, shift = (part.to(context.device) for part in draw(params, context.k, stream.at(n)))
        return train_step(generator, training, Batch(*base.at(n), index, shift), params.shift_weight)

    train(
        context,
        params.steps,
        step,
        {"form": training.form, "reconstructor": training.reconstructor, "optimiser": training.optimiser},
        shown=("loss", "accuracy"),
    )
    return directions(training, params, context)


def prepare(generator: Generator, params: VoynovParams, context: Context) -> Training:
    """A and the reconstructor at their start, on the device."""
    stream, dim = context.stream("discover"), generator.dim(context.space)
    channels, size, _ = generator.image_shape
    form = forms.build(params.form, stream, context.k, dim).to(context.device)
    network = partial(Reconstructor, params.reconstructor, channels, size, context.k, params.resize)
    reconstructor = initialised(stream.of("reconstructor").at(), network).to(context.device)
    optimiser = torch.optim.Adam([*form.parameters(), *reconstructor.parameters()], params.lr, fused=True)
    root = None
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root().float().to(context.device)
    return Training(form, reconstructor, optimiser, root)


def train_step(generator: Generator, training: Training, batch: Batch, shift_weight: float) -> Tensor:
    """One update; returns loss and accuracy (2,), still on the device.

    Gradients flow through the shifted image to A only: the generator is frozen and the base image was rendered before.
    """
    delta = training.form(batch.index, batch.shift)
    delta = delta if training.root is None else delta @ training.root
    logits, shift = training.reconstructor(batch.images, generator.render(batch.codes.shifted(delta)))
    loss = F.cross_entropy(logits, batch.index) + shift_weight * F.l1_loss(shift, batch.shift)
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()
    return torch.stack([loss.detach(), (logits.detach().argmax(1) == batch.index).float().mean()])


def directions(training: Training, params: VoynovParams, context: Context) -> Directions:
    """What was learned: straight columns S^(1/2) a_k, whose length is the method's own unit, or curved paths."""
    if not isinstance(training.form, forms.Columns):
        return CurvedDirections.of(training.form, training.root, context.space, context.k, params.shift_max)
    with torch.no_grad():
        vectors = training.form.matrix().T
        vectors = vectors if training.root is None else vectors @ training.root
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def _set_rate(training: Training, params: VoynovParams, step: int) -> None:
    left = (params.steps - step) / params.steps
    for group in training.optimiser.param_groups:
        group["lr"] = params.lr * min(1.0, left / params.decay if params.decay else 1.0)
