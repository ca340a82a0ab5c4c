"""The RCA of Voynov and Babenko (2020), made fair by equal visible change (PROTOCOL, `reconstruction`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from gdbench import Context, Scores, Stream, Subject, Void, block_numbers, block_values, integers
from gdbench_metrics.augment import augment
from gdbench_metrics.leak import leak
from gdbench_metrics.pairs import RANGE, Pairs, alive_directions, capacity, draw
from gdbench_metrics.params import ReconstructionParams
from gdbench_metrics.reconstructor import Batch, Form, LeNet, ResNet, fresh, train

UNIT = 0.05  # visible change that counts as 1 in the regression: the shifts are then 3 to 6, as large as the paper's
LEAKS = 0.6  # accuracy of telling copies apart above which the reader sees what no eye can (PROTOCOL, `reconstruction`)
GUESS = sum(RANGE) / 2  # the mean error of always answering 0


@dataclass(frozen=True)
class Outcome:
    """Counts (k, k) of true (row) and named (column) directions; error: mean absolute error of the signed change.

    parts: the same of each block of the test, where it was made.
    """

    confusion: Tensor
    error: float
    parts: tuple[Outcome, ...] = ()

    def of(self, kept: Tensor) -> Outcome:
        """The outcome of the blocks that a mask (blocks,) keeps."""
        parts = [part for part, keep in zip(self.parts, kept.tolist(), strict=True) if keep]
        counts = torch.stack([part.confusion for part in parts])
        sizes = counts.sum((1, 2)).tolist()
        error = sum(size * part.error for size, part in zip(sizes, parts, strict=True)) / sum(sizes)
        return Outcome(counts.sum(0), error)


def measure(subject: Subject, params: ReconstructionParams, context: Context) -> Scores:
    """Train a fresh reconstructor on the frozen directions and score it on fresh pairs."""
    alive = (~subject.calibration.dead).double().mean(1)
    if not alive.any():
        nothing = Outcome(torch.zeros(subject.k, subject.k), GUESS)
        return scores(nothing, alive, nothing, Void("no direction is alive"))
    outcomes = [_outcome(form, subject, params, context) for form in ((LeNet, ResNet) if params.resnet else (LeNet,))]
    found = leak(subject, params.leak_steps, params.batch, context)
    made = scores(outcomes[0], alive, outcomes[1] if params.resnet else None, found)
    return made if isinstance(found, Void) or found <= LEAKS else _leaky(made, found)


def _leaky(made: Scores, found: float) -> Scores:
    """Scores of a reader that cannot be trusted: all but the leak is void."""
    void = Void(f"copies that differ by an invisible pattern are told apart with accuracy {found:.2f}, above {LEAKS}")
    return Scores({**dict.fromkeys(made.values, void), "leak": found})


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
    drawn = lru_cache(maxsize=1)(lambda number: draw(subject, alive, size, stream.of("pairs").at(number)))
    channels, device = subject.generator.image_shape[0], subject.generator.device
    network = fresh(form, channels, subject.k, device, stream.of("weights").at())
    with context.reporter.task("reconstruction", params.steps) as task:

        def batch(step: int) -> Batch:
            task.advance()
            start = step * params.batch
            held = drawn(start // (size * params.reuse))
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
    blocks = block_numbers(params.test)
    parts = int(blocks.max()) + 1
    confusion, errors = torch.zeros(parts, subject.k, subject.k), torch.zeros(parts, dtype=torch.float64)
    alive = alive_directions(subject.calibration)
    size, step = capacity(subject.generator.image_shape, 4 * params.batch, params.test), 0
    for part, start in enumerate(range(0, params.test, size)):
        pairs = draw(subject, alive, min(size, params.test - start), stream.of("pairs").at(part))
        for index in torch.split(torch.arange(len(pairs)), 4 * params.batch):
            batch = _batch(pairs, index, flips, stream.of("augment").at(step))
            logits, shift = network(batch.images)
            block = blocks[start + index]
            named = (batch.direction * subject.k + logits.argmax(1)).cpu()
            confusion.view(-1).index_add_(0, block * subject.k**2 + named, torch.ones(len(index)))
            errors.index_add_(0, block, (shift - batch.shift).abs().cpu().double() * UNIT)
            step += 1
    means = (errors / confusion.sum((1, 2)).clamp_min(1)).tolist()
    each = tuple(Outcome(counts, mean) for counts, mean in zip(confusion, means, strict=True))
    return Outcome(confusion.sum(0), float(errors.sum()) / params.test, each)


def scores(outcome: Outcome, alive: Tensor, resnet: Outcome | None, leaked: float | Void) -> Scores:
    """The columns of an outcome; alive (k,) in {0, .5, 1} is the share of signs that are alive.

    What is dead was not drawn and counts as a failure: accuracy and bits are multiplied by the alive share, and a dead
    direction's error is that of a guess. resnet: the outcome of the other form, None where it was not trained.
    """
    share = float(alive.mean())
    recall = outcome.confusion.diagonal() / outcome.confusion.sum(1).clamp_min(1) * alive
    untrained = Void("the ResNet-18 form is trained from the standard tier on")
    other = untrained if resnet is None else _columns(resnet, share, len(alive))["kappa"]
    values = {**_columns(outcome, share, len(alive)), "kappa_resnet": other, "leak": leaked}

    def of_part(kept: Tensor) -> dict[str, float]:
        found = _columns(outcome.of(kept), share, len(alive))
        return {name: value for name, value in found.items() if not isinstance(value, Void)}

    blocks = block_values(of_part, len(outcome.parts))
    return Scores(values, {"recall": recall.tolist()}, blocks=blocks)


def _columns(outcome: Outcome, share: float, k: int) -> dict[str, float | Void]:
    """What the test decides, with a dead share that counts as failures."""
    accuracy = share * float(outcome.confusion.diagonal().sum() / outcome.confusion.sum().clamp_min(1))
    return {
        "accuracy": accuracy,
        "kappa": kappa(accuracy, k),
        "bits": share * mutual_information(outcome.confusion),
        "magnitude_error": share * outcome.error + (1 - share) * GUESS,
    }


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
