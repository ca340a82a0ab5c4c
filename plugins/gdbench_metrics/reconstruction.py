"""Reconstruction accuracy at equal visible change: the RCA of Voynov and Babenko (2020), made fair (PROTOCOL 5.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from gdbench import Context, Scores, Stream, Subject, Void, integers
from gdbench_metrics.augment import augment
from gdbench_metrics.leak import leak
from gdbench_metrics.pairs import RANGE, Pairs, alive_directions, capacity, draw
from gdbench_metrics.params import ReconstructionParams
from gdbench_metrics.reconstructor import Batch, Form, LeNet, ResNet, fresh, train

UNIT = 0.05  # visible change that counts as 1 in the regression: the shifts are then 3 to 6, as large as the paper's
GUESS = sum(RANGE) / 2  # the mean error of always answering 0


@dataclass(frozen=True)
class Outcome:
    """Counts (k, k) of true (row) and named (column) directions; error: mean absolute error of the signed change."""

    confusion: Tensor
    error: float


def measure(subject: Subject, params: ReconstructionParams, context: Context) -> Scores:
    """Train a fresh reconstructor on the frozen directions and score it on fresh pairs."""
    alive = (~subject.calibration.dead).double().mean(1)
    if not alive.any():
        nothing = Outcome(torch.zeros(subject.k, subject.k), GUESS)
        return scores(nothing, alive, nothing, Void("no direction is alive"))
    outcomes = [_outcome(form, subject, params, context) for form in ((LeNet, ResNet) if params.resnet else (LeNet,))]
    found = leak(subject, params.leak_steps, params.batch, context)
    return scores(outcomes[0], alive, outcomes[1] if params.resnet else None, found)


def _outcome(form: Form, subject: Subject, params: ReconstructionParams, context: Context) -> Outcome:
    flips = _flips(subject.k, context)
    return _tested(_trained(form, subject, flips, params, context), subject, flips, params, context)


def _flips(k: int, context: Context) -> Tensor:
    """A random sign for each direction: a sign convention common to a method would tell R the sign of the shift."""
    return 1.0 - 2.0 * integers(context.stream("reconstruct-train").of("signs").at(), 2, k).float()


def _trained(form: Form, subject: Subject, flips: Tensor, params: ReconstructionParams, context: Context) -> nn.Module:
    stream = context.stream("reconstruct-train")
    size = capacity(subject.generator.image_shape, params.batch, params.steps * params.batch // params.reuse)
    alive = alive_directions(subject.calibration)
    chapter = lru_cache(maxsize=1)(lambda number: draw(subject, alive, size, stream.of("pairs").at(number)))
    channels, device = subject.generator.image_shape[0], subject.generator.device
    network = fresh(form, channels, subject.k, device, stream.of("weights").at())
    with context.reporter.task("reconstruction", params.steps) as task:

        def batch(step: int) -> Batch:
            task.advance()
            start = step * params.batch
            held = chapter(start // (size * params.reuse))
            index = _shuffled(size, start // size, stream)[start % size :][: params.batch]
            return _batch(held, index, flips, stream.of("augment").at(step))

        train(network, batch, params.steps, params.rate)
    return network


def _shuffled(size: int, epoch: int, stream: Stream) -> Tensor:
    return torch.from_numpy(stream.of("order").at(epoch).permutation(size))


def _batch(pairs: Pairs, index: Tensor, flips: Tensor, rng: np.random.Generator) -> Batch:
    first, second = pairs.images(index)
    direction = pairs.direction[index]
    shift = pairs.change[index] * flips[direction] / UNIT
    images = augment(first, second, rng)
    return Batch(images, direction.to(images.device), shift.to(images.device))


@torch.no_grad()
def _tested(
    network: nn.Module, subject: Subject, flips: Tensor, params: ReconstructionParams, context: Context
) -> Outcome:
    stream = context.stream("reconstruct-test")
    confusion, error = torch.zeros(subject.k, subject.k), 0.0
    alive = alive_directions(subject.calibration)
    size, step = capacity(subject.generator.image_shape, 4 * params.batch, params.test), 0
    for chapter, start in enumerate(range(0, params.test, size)):
        pairs = draw(subject, alive, min(size, params.test - start), stream.of("pairs").at(chapter))
        for index in torch.split(torch.arange(len(pairs)), 4 * params.batch):
            batch = _batch(pairs, index, flips, stream.of("augment").at(step))
            logits, shift = network(batch.images)
            named = (batch.direction * subject.k + logits.argmax(1)).cpu()
            confusion += torch.bincount(named, minlength=subject.k**2).reshape(subject.k, subject.k)
            error += float((shift - batch.shift).abs().sum()) * UNIT / params.test
            step += 1
    return Outcome(confusion, error)


def scores(outcome: Outcome, alive: Tensor, resnet: Outcome | None, leaked: float | Void) -> Scores:
    """The columns of an outcome; alive (k,) in {0, .5, 1} is the share of signs that are alive.

    What is dead was not drawn and counts as a failure: accuracy and bits are multiplied by the alive share, and a dead
    direction's error is that of a guess. resnet: the outcome of the other form, None where it was not trained.
    """
    share = float(alive.mean())
    accuracy = _accuracy(outcome, share)
    recall = outcome.confusion.diagonal() / outcome.confusion.sum(1).clamp_min(1) * alive
    untrained = Void("the ResNet-18 form is trained from the standard tier on")
    values = {
        "accuracy": accuracy,
        "kappa": kappa(accuracy, len(alive)),
        "kappa_resnet": untrained if resnet is None else kappa(_accuracy(resnet, share), len(alive)),
        "bits": share * mutual_information(outcome.confusion),
        "magnitude_error": share * outcome.error + (1 - share) * GUESS,
        "leak": leaked,
    }
    return Scores(values, {"recall": recall.tolist()})


def _accuracy(outcome: Outcome, share: float) -> float:
    counts = outcome.confusion
    return share * float(counts.diagonal().sum() / counts.sum().clamp_min(1))


def kappa(accuracy: float, k: int) -> float | Void:
    """(accuracy - 1/k) / (1 - 1/k): 0 is chance among k directions, 1 always right."""
    return (accuracy - 1 / k) / (1 - 1 / k) if k > 1 else Void("with one direction there is nothing to tell apart")


def mutual_information(counts: Tensor) -> float:
    """Mutual information in bits of rows and columns of a table of counts, never below 0.

    Plug-in estimate less its first-order bias (Miller 1955): (cells - rows - columns + 1) / (2 N ln 2), of what occurs.
    """
    counts = counts.double()
    n = float(counts.sum())
    if n == 0:
        return 0.0
    rows, columns = counts.sum(1), counts.sum(0)
    entropies = [float(torch.special.entr(part / n).sum()) for part in (rows, columns, counts)]
    plug_in = entropies[0] + entropies[1] - entropies[2]
    freedom = int((counts > 0).sum()) - int((rows > 0).sum()) - int((columns > 0).sum()) + 1
    return max((plug_in - freedom / (2 * n)) / math.log(2), 0.0)
