"""Reconstructor classification accuracy as the paper has it: each method's own range, no calibration, no augmentation.

Comparable with published values on official weights alone, and then with a fresh reconstructor: the paper's is the one
that was trained together with its directions. Its rate falls at the end of the training, as our other reconstructor's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gdbench import Context, Scores, StepLengths, Subject, integers, uniform
from gdbench_metrics.params import RcaPaperParams
from gdbench_metrics.reconstructor import Batch, Form, LeNet, ResNet, fresh, train

LENET = 64  # pixels up to which the paper's reconstructor is the LeNet (digits, anime faces); beyond, a ResNet-18
FARTHEST, NEAREST = 6.0, 0.5  # |epsilon| is uniform up to 6; what falls below .5 is set to .5, as in the official code


def measure(subject: Subject, params: RcaPaperParams, context: Context) -> Scores:
    """Train a fresh reconstructor on fresh pairs, and name the direction of ``test`` more."""
    network = fresh(
        form(subject.generator.image_shape),
        subject.generator.image_shape[0],
        subject.k,
        subject.generator.device,
        context.stream("reconstruct-train").of("paper/weights").at(),
    )
    training = context.stream("reconstruct-train").of("paper/pairs")
    with context.reporter.task("rca_paper", params.steps) as task:

        def batch(step: int) -> Batch:
            task.advance()
            return pairs(subject, params.batch, training.at(step))

        train(network, batch, params.steps, params.rate)
    testing = context.stream("reconstruct-test").of("paper/pairs")
    right, error, drawn = [], [], []
    with torch.no_grad():
        for step in range(-(-params.test // params.batch)):
            found = pairs(subject, params.batch, testing.at(step))
            logits, shift = network(found.images)
            right.append(logits.argmax(1) == found.direction)
            error.append((shift - found.shift).abs())
            drawn.append(found.direction)
    named, index = torch.cat(right).double().cpu(), torch.cat(drawn).cpu()
    times = torch.bincount(index, minlength=subject.k)
    recall = torch.bincount(index, named, minlength=subject.k) / times.clamp_min(1)
    values = {"accuracy": float(named.mean()), "shift_error": float(torch.cat(error).mean())}
    return Scores(values, {"recall": recall.tolist(), "drawn": times.double().tolist()})


def form(image_shape: tuple[int, int, int]) -> Form:
    """The paper's reconstructor for images (c, h, w)."""
    return LeNet if max(image_shape[1:]) <= LENET else ResNet


@torch.no_grad()
def pairs(subject: Subject, n: int, rng: np.random.Generator) -> Batch:
    """``n`` fresh pairs: z, k uniform, and epsilon steps of the method's own length."""
    codes = subject.generator.sample(n, subject.space, rng)
    direction = integers(rng, subject.k, n)
    epsilon = shifts(rng, n)
    moved = subject.directions.displace(codes, direction, epsilon * _unit(subject)[direction])
    images = torch.cat([subject.generator.render(codes), subject.generator.render(moved)], 1).clamp(-1, 1)
    return Batch(images, direction.to(images.device), epsilon.to(images.device))


def shifts(rng: np.random.Generator, n: int) -> Tensor:
    """The law of epsilon in the official code: uniform in [-6, 6], moved out to .5 where it is smaller."""
    epsilon = uniform(rng, -FARTHEST, FARTHEST, n)
    sign = torch.where(epsilon < 0, -1.0, 1.0)
    return sign * epsilon.abs().clamp_min(NEAREST)


def _unit(subject: Subject) -> Tensor:
    """(k,) latent length of one step of the method's own scale; 1 where it has none."""
    unit = subject.directions.unit if isinstance(subject.directions, StepLengths) else None
    return torch.ones(subject.k) if unit is None else unit
