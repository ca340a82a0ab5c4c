"""Shares: which part of all that a direction changes is one consistent change of one factor (PROTOCOL, "Recovery").

Everything is taken from oracle B's readings of the shared edits. phi are the coordinates of a factor (a number; cosine
and sine of an angle; the probabilities of a class), scaled so that their total variance over the generator's own images
is 1. All arithmetic is in float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import Edits, Factor, coordinates, turned, visible

SEEN = 8  # with fewer codes on which a factor can be read throughout, a direction is taken not to move it
GUARD = 0.25  # a consistent change below this many spreads earns no share: a hair of one factor is not pure


@dataclass(frozen=True)
class Contrasts:
    """What the edits of K directions do to one factor of n codes; m is the number of its coordinates.

    change (k, n, m): (phi(edit +) - phi(edit -)) / 2, or from the original to the living end where one sign is dead.
    shift (k, n, m): (phi(edit +) + phi(edit -) - 2 phi(original)) / 2, which both ends share; 0 where a sign is dead.
    seen (k, n): where the factor can be read in the original and in every living edit; nowhere for dead directions.
    turn (k, n): the angle in radians by which + turns a circular factor, else None. variance: of its coordinates.
    """

    factor: Factor
    change: Tensor
    shift: Tensor
    seen: Tensor
    turn: Tensor | None
    variance: float


@dataclass(frozen=True)
class Changes:
    """Squared changes (k, j) in variances of the factors: ``consistent`` C, ``total`` T; alive (k,) in {0, .5, 1}.

    turns (k, j): where the consistent change of a circular factor is read as one turn of all images.
    """

    consistent: Tensor
    total: Tensor
    alive: Tensor
    turns: Tensor

    @property
    def shares(self) -> Tensor:
        """(k, j): C of a factor by the sum of T over all factors, times the alive share; may be a little below 0."""
        whole = self.total.sum(1, keepdim=True)
        return torch.where(whole > 0, self.consistent / whole.clamp_min(1e-300), 0.0) * self.alive[:, None]

    def clear(self, guard: float = GUARD) -> Tensor:
        """(k, j) bool: the consistent change, in spreads, is not too small to earn a share."""
        return self.consistent.clamp_min(0).sqrt() >= guard


def contrasts(
    edits: Edits, factors: Sequence[Factor], counted: Sequence[Factor], variances: Mapping[str, float]
) -> list[Contrasts]:
    """The contrasts of the counted factors. variances: total variance of ``coordinates`` by name, on unedited images.

    factors: all of the domain, which tell where a factor can be read.
    """
    return [_contrast(edits, factors, factor, variances[factor.name]) for factor in counted]


def _contrast(edits: Edits, factors: Sequence[Factor], factor: Factor, variance: float) -> Contrasts:
    original, edited = edits.base.factors[factor.name].double(), edits.edited.factors[factor.name].double()
    scale = 1 / math.sqrt(max(variance, 1e-12))
    before = _phi(factor, original) * scale
    plus, minus = (_phi(factor, edited[:, side]) * scale for side in (0, 1))
    up, down = edits.alive[:, 0, None, None], edits.alive[:, 1, None, None]
    both = up & down
    change = torch.where(both, (plus - minus) / 2, torch.where(up, plus - before, before - minus)) * (up | down)
    shift = torch.where(both, (plus + minus) / 2 - before, 0.0)
    after = visible(factor, edits.edited.factors, factors)
    readable = (after | ~edits.alive[..., None]).all(1) & visible(factor, edits.base.factors, factors)
    seen = readable & (up | down)[..., 0]
    turn = None
    if factor.kind == "circular":
        whole = turned(edited[:, 1], edited[:, 0]) / 2
        single = torch.where(up[..., 0], turned(original, edited[:, 0]), turned(edited[:, 1], original))
        turn = 2 * torch.pi * torch.where(both[..., 0], whole, single)
    return Contrasts(factor, change, shift, seen, turn, variance)


def _phi(factor: Factor, readings: Tensor) -> Tensor:
    """Coordinates (..., m) of readings (...,), or (..., classes) for a class."""
    if factor.kind == "class":
        return readings
    flat = coordinates(factor, readings.reshape(-1))
    return flat.reshape(*readings.shape, flat.shape[-1])


def changes(parts: Sequence[Contrasts], alive: Tensor, kept: Tensor) -> Changes:
    """C and T of every direction and factor, over the codes that a mask (n,) keeps; alive (k, 2)."""
    columns = [_squares(part, kept) for part in parts]
    consistent, total, turns = (torch.stack(values, 1) for values in zip(*columns, strict=True))
    return Changes(consistent, total, alive.double().mean(1), turns)


def _squares(part: Contrasts, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """C, T and whether the turn is the better reading, each (k,)."""
    weight = (part.seen & kept).double()
    n = weight.sum(1)
    enough = n >= SEEN
    n = torch.where(enough, n, 2.0)
    mean = _mean(part.change, weight, n).square().sum(-1)
    square = _mean(part.change.square().sum(-1, keepdim=True), weight, n)[:, 0]
    shared = _mean(part.shift, weight, n).square().sum(-1)
    consistent = mean - (square - mean) / (n - 1)  # the mean of n noisy contrasts is too long by its own variance
    turns = torch.zeros_like(enough)
    if part.turn is not None:
        turning = torch.minimum(_turning(part.turn, weight, n) / max(part.variance, 1e-12), square)
        turns = (turning > consistent) & enough
        consistent = torch.maximum(consistent, turning)
    fraction = torch.where(enough, n / max(int(kept.sum()), 1), 0.0)  # what is seldom seen is seldom changed
    return consistent * fraction, (square + shared) * fraction, turns


def _mean(values: Tensor, weight: Tensor, n: Tensor) -> Tensor:
    """(k, m): mean over the seen codes of values (k, n, m)."""
    return (values * weight[..., None]).sum(1) / n[:, None]


def _turning(turn: Tensor, weight: Tensor, n: Tensor) -> Tensor:
    """Squared change (k,) of a turn that all images share: R^2 without its bias, times |exp(i a) - 1|^2."""
    cosine, sine = (_mean(f(turn)[..., None], weight, n)[:, 0] for f in (torch.cos, torch.sin))
    length = cosine.square() + sine.square()
    unbiased = length - (1 - length) / (n - 1)
    return unbiased * (2 - 2 * cosine / length.sqrt().clamp_min(1e-12))


def wording(part: Contrasts, k: int, turns: bool) -> str:
    """What + of direction k does to a factor, in words: the domain's own where it has them."""
    weight = part.seen[k].double()
    n = weight.sum().clamp_min(1)
    name = part.factor.name
    if part.turn is not None and turns:
        angle = math.atan2(float((part.turn[k].sin() * weight).sum()), float((part.turn[k].cos() * weight).sum()))
        return f"turns {name} by {math.degrees(angle):+.0f}°"
    mean = (part.change[k] * weight[:, None]).sum(0) / n
    if part.factor.kind == "circular":
        return f"sets {name} towards {math.degrees(math.atan2(float(mean[1]), float(mean[0]))) % 360:.0f}°"
    if part.factor.kind == "class":
        gained = int(mean.argmax())
        return f"{name} to {part.factor.classes[gained] if part.factor.classes else gained}"
    rises = float(mean[0]) > 0
    return part.factor.moves[rises] if part.factor.moves else f"{'raises' if rises else 'lowers'} {name}"
