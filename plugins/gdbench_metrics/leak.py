"""The leak test: can a reconstructor read what nobody can see? (PROTOCOL, `reconstruction`)"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from gdbench import Context, Subject, Void, integers
from gdbench_metrics.augment import augment
from gdbench_metrics.pairs import SHARED, Pairs, alive_directions, draw
from gdbench_metrics.reconstructor import Batch, LeNet, fresh, train

LEVELS = 2  # height of the hidden pattern, in levels of 255
POOL = 512  # pairs rendered for training, and as many for the test, at most
RATE = 2e-3
GAIN = 16  # of the residual, so that the pattern would be as strong as what else is in it

Augment = Callable[[Tensor, Tensor, np.random.Generator], Tensor]


def leak(subject: Subject, steps: int, batch: int, context: Context, augmented: Augment = augment) -> float | Void:
    """Accuracy in [0, 1] of telling two copies of one direction apart; .5 is chance, up to .6 passes.

    Both copies are one alive direction, drawn by the seed; the edited images of the second carry a fixed pattern of
    random signs, ``LEVELS`` / 255 high. The reader sees residuals, which it would else have to learn, slowly: this way
    a few hundred steps read the pattern where nothing hides it. Void where no direction is alive.
    """
    stream = context.stream("reconstruct-train").of("leak")
    alive = alive_directions(subject.calibration)
    if not len(alive):
        return Void("no direction is alive")
    rng = stream.at()
    direction = alive[integers(rng, len(alive), 1)]
    pattern = (2.0 * integers(rng, 2, *subject.generator.image_shape).float() - 1) * LEVELS / 127.5
    pairs = draw(subject, direction, min(POOL, SHARED * steps), stream.of("pairs").at())
    network = fresh(LeNet, subject.generator.image_shape[0], 2, subject.generator.device, stream.of("weights").at())

    def training(step: int) -> Batch:
        rng = stream.of("augment").at(step)
        return _copies(pairs, integers(rng, len(pairs), batch), pattern, augmented, rng)

    train(network, training, steps, RATE)
    return _accuracy(network, subject, direction, pattern, augmented, len(pairs), context)


def _copies(pairs: Pairs, index: Tensor, pattern: Tensor, augmented: Augment, rng: np.random.Generator) -> Batch:
    """The pairs at ``index``, each with or without the pattern by the toss of a coin, which is the class."""
    first, second = pairs.images(index)
    carries = integers(rng, 2, len(index)).to(first.device)
    images = augmented(first, second + carries[:, None, None, None] * pattern.to(first.device), rng)
    return Batch(residual(images), carries, pairs.change[index].to(images.device))


def residual(images: Tensor) -> Tensor:
    """What differs from the mean of 3x3 pixels, enlarged: how steganalysis looks at images (n, c, h, w)."""
    return GAIN * (images - avg_pool2d(pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1))


@torch.no_grad()
def _accuracy(
    network: nn.Module,
    subject: Subject,
    direction: Tensor,
    pattern: Tensor,
    augmented: Augment,
    n: int,
    context: Context,
) -> float:
    stream = context.stream("reconstruct-test").of("leak")
    pairs = draw(subject, direction, n, stream.of("pairs").at())
    right = []
    for step, index in enumerate(torch.split(torch.arange(n).repeat(4), 128)):
        batch = _copies(pairs, index, pattern, augmented, stream.of("augment").at(step))
        right.append(network(batch.images)[0].argmax(1) == batch.direction)
    return float(torch.cat(right).double().mean())
