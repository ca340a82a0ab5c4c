"""Steerability: w = argmin E[M (G(z + a w) - edit(G(z), a))^2] for each edit, M the pixels that the edit determines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gdbench import Context, Generator, LinearDirections, falling, train
from gdbench_supervised.edits import Edit, edits
from gdbench_supervised.params import SteerabilityParams
from gdbench_supervised.whitening import filled, identity, whitening

BETAS = 0.9, 0.999


class Step(NamedTuple):
    """Loss, and its gradient by the walks."""

    loss: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, and what stays.

    walks (edits, dim): the learned rows, in coordinates that ``root`` (dim, dim) maps to the space. first (edits, dim)
    and second (edits, 1): running means of their gradient and of its mean square.
    """

    walks: Tensor
    first: Tensor
    second: Tensor
    root: Tensor
    edits: Sequence[Edit]

    def state_dict(self) -> dict[str, Any]:
        """What is learned."""
        return {name: getattr(self, name) for name in ("walks", "first", "second")}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take up what was learned before."""
        for name, value in state_dict.items():
            getattr(self, name).copy_(value)


def discover(generator: Generator, params: SteerabilityParams, context: Context) -> LinearDirections:
    """Walks of the first ``context.k`` edits; a step is that of coefficient one.

    Where there are fewer edits, random directions orthogonal to all walks follow, and the log says so. Raises
    PluginError where the loss is no longer a number, or K directions do not exist.
    """
    training = prepare(generator, params, context)
    stream = context.stream("discover")

    def step(n: int) -> Tensor:
        taken = train_step(generator, training, params.batch, context.space, stream.at(n))
        update(training, taken.gradient, n, params.lr * falling(n, params.steps, params.decay))
        return taken.loss[None]

    train(context, params.steps, step, {"training": training})
    return directions(training, context)


def prepare(generator: Generator, params: SteerabilityParams, context: Context) -> Training:
    """Walks of length zero: what no image shows stays zero, where a random start would stay in the result."""
    dim = generator.dim(context.space)
    space = whitening(generator, context.space) if params.whiten else identity(dim)
    chosen = edits(generator.image_shape[0])[: context.k]
    walks = torch.zeros(len(chosen), dim, device=context.device)
    root = space.root.float().to(context.device)
    return Training(walks, torch.zeros_like(walks), torch.zeros_like(walks[:, :1]), root, chosen)


def train_step(generator: Generator, training: Training, batch: int, space: str, rng: np.random.Generator) -> Step:
    """The sum of the losses of all walks on the same codes, and its gradient (edits, dim), still on the device."""
    codes = generator.sample(batch, space, rng)
    with torch.no_grad():
        originals = generator.render(codes)
        asked = [_ask(edit, originals, rng) for edit in training.edits]
    coefficients, targets, masks = (torch.cat(parts) for parts in zip(*asked, strict=True))
    walks = training.walks.clone().requires_grad_()
    deltas = coefficients[:, None] * (walks @ training.root).repeat_interleave(batch, 0)
    everywhere = codes[torch.arange(batch, device=originals.device).repeat(len(asked))]
    error = masked_error(generator.render(everywhere.shifted(deltas)), targets, masks)
    loss = error.view(len(asked), batch).mean(1).sum()
    return Step(loss.detach(), torch.autograd.grad(loss, walks)[0])


def update(training: Training, gradient: Tensor, step: int, lr: float) -> None:
    """Adam (Kingma and Ba 2015, algorithm 1) with one second moment for each walk instead of each coordinate.

    Per coordinate, the result would depend on the axes of the space, and leave the span of the gradients.
    """
    training.first.lerp_(gradient, 1 - BETAS[0])
    training.second.lerp_(gradient.square().mean(1, keepdim=True), 1 - BETAS[1])
    first = training.first / (1 - BETAS[0] ** (step + 1))
    second = training.second / (1 - BETAS[1] ** (step + 1))
    training.walks.sub_(lr * first / (second.sqrt() + 1e-8))


def masked_error(images: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
    """Mean squared difference (n,) over the pixels of the mask (n, 1, h, w); 0 where there is none."""
    squared = ((images - targets).square().mean(1, keepdim=True) * masks).sum((1, 2, 3))
    error: Tensor = squared / masks.sum((1, 2, 3)).clamp_min(1)
    return error


def directions(training: Training, context: Context) -> LinearDirections:
    """The walks, filled up to K in the coordinates in which they were learned."""
    found = len(training.edits)
    rows = training.walks.double().cpu()
    rows = filled(rows, context.k, context.stream("discover").of("fill").at())
    names = ", ".join(edit.name for edit in training.edits)
    rest = f"; the other {context.k - found} are random, orthogonal to them" if context.k > found else ""
    context.reporter.log(f"steerability: {found} of {context.k} directions are supervised: {names}{rest}")
    vectors = rows @ training.root.double().cpu()
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def _ask(edit: Edit, originals: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients (n,), edited images and masks of one edit."""
    coefficients = edit.draw(rng, len(originals), originals.shape[-1]).to(originals)
    return coefficients, *edit.apply(originals, coefficients)
