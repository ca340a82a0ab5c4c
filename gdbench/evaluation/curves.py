"""The search of calibration: where curves of visible change meet given changes, found with few rendered images.

There is one curve for each direction and sign. Its argument is a *fraction* in [0, 1] of the longest magnitude that is
tried, and its value is the *change*: the median over codes of the perceptual distance, as a share of D-bar. The square
root of the change starts at 0, is straight there (a squared distance grows with the square of a small shift) and bends
down later. A line between two measured points that are near a target therefore meets it within a fraction of a percent.

Points are searched on a quarter of the codes. The point at the headline change is then measured on all of them, and the
ratio of both medians there corrects the points that were measured on few codes only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor, slice], Tensor]
"""``measure(curves, fractions, which)`` -> the change of every code that the slice ``which`` names, (r, codes): of r
curves, given by their numbers (r,), each at its fraction (r,)."""

FEWEST = 16
"""The least number of codes that the search looks at: the median over fewer is too uncertain to guide it."""
START = 0.2
"""The fraction that is measured first: the geometric middle of the magnitudes that methods turned out to need."""
ROUNDS = 8
FARTHER, BEYOND = 2.5, 1.1
"""Where the target lies beyond all measured points, the next point is at most ``FARTHER`` times as far as the last one,
and at least ``BEYOND`` times, since curves bend down."""
INSIDE = (0.3, 0.45, 0.7)
"""Fractions at which a curve that ends below the headline change is measured too: it may have been above it before."""
EXACT = 0.02
"""The point that is measured on all codes lies within this share of the magnitude at the headline change. Most of the
error that is left is taken away by the line to the next point."""
CLOSE = 0.85
"""Where a curve ends below the headline change, but few codes put one of its points above this share of it, all codes
are measured at that point: the curve may have reached the headline there."""


@dataclass(frozen=True)
class Target:
    """A change to find a point near: ``aim`` is what is tried for, and a change in [low, high] is near enough."""

    aim: float
    low: float
    high: float


FAR = Target(1.0, 0.9, 1.2)
"""The last stretch, up to a change of .9, is followed on few codes: only masks of saliency are tried there."""


@dataclass
class Curves:
    """The points that were measured so far on p curves. The first point of each is fraction 0, which changes
    nothing."""

    measure: Measure
    """Renders and compares."""
    few: int
    """How many codes, the first ones, the search looks at."""
    at: Tensor
    """(p, m): the fractions that were measured, in order of measuring; NaN where a curve has fewer than m points."""
    changes: Tensor
    """(p, m, n): the change of each of the n codes there; NaN where it was not measured."""
    _everyone: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._everyone = torch.arange(len(self.at))

    def add(self, wanted: Tensor, on: Tensor, all_codes: bool) -> None:
        """Measure the curves that the mask ``on`` (p,) selects, each at its fraction ``wanted`` (p,).

        all_codes: on all codes, else on the first ``few``. Of a point that is there already, only codes that it lacks
        are measured.
        """
        there = (self.at - wanted[:, None]).abs() < 1e-6
        column = there.float().argmax(1)
        known = on & there.any(1)
        new = on & ~known
        if new.any():
            self.at = torch.cat([self.at, torch.where(new, wanted, torch.nan)[:, None]], 1)
            self.changes = torch.cat([self.changes, torch.full_like(self.changes[:, :1], torch.nan)], 1)
            column = torch.where(new, self.at.shape[1] - 1, column)
            self._fill(new, column, slice(0, self.changes.shape[2] if all_codes else self.few))
        if all_codes and known.any():
            self._fill(known & ~self.complete[self._everyone, column], column, slice(self.few, self.changes.shape[2]))

    def _fill(self, on: Tensor, column: Tensor, rows: slice) -> None:
        curves = self._everyone[on]
        if len(curves) and rows.start < rows.stop:
            self.changes[curves, column[on], rows] = self.measure(curves, self.at[curves, column[on]], rows)

    @property
    def complete(self) -> Tensor:
        """Mask (p, m) of the points that were measured on all codes."""
        return ~self.changes[..., -1].isnan()

    def estimate(self) -> Tensor:
        """The median change (p, m) over all codes; NaN where a curve has no point.

        At a point that only few codes were measured at, it is estimated: their median, times the ratio of the median
        over all codes to that over few, averaged over the curve's complete points with weights 1 / distance.
        """
        few, complete = self.changes[..., : self.few].median(-1).values, self.complete
        all_codes = self.changes.nan_to_num().median(-1).values
        known = complete & (few > 0)
        ratio = torch.where(known, all_codes / few.clamp_min(1e-12), 1.0)
        apart = (self.at[:, :, None] - self.at[:, None]).abs().nan_to_num(torch.inf)
        weight = known[:, None].float() / (apart + 1e-3)
        total = weight.sum(2)
        lifted = few * torch.where(total > 0, (weight * ratio[:, None]).sum(2) / total.clamp_min(1e-12), 1.0)
        return torch.where(complete, all_codes, lifted)

    def sorted(self) -> tuple[Tensor, Tensor]:
        """The curves as two tensors (p, m): increasing fractions and non-decreasing estimated changes, from (0, 0) on.

        Where a curve has fewer than m points, its last one is repeated.
        """
        at, order = self.at.nan_to_num(torch.inf).sort(1)
        change = self.estimate().nan_to_num(0).gather(1, order).cummax(1).values
        last = torch.where(at.isinf(), 0, at).amax(1, keepdim=True)
        return torch.where(at.isinf(), last, at), change

    def towards(self, change: float) -> Tensor:
        """The fraction (p,), at most 1, at which each curve is expected to meet ``change``.

        Between two points it lies on the line through them; beyond the last one, on the line from 0 through it.
        """
        at, found = self.sorted()
        roots, wanted = found.sqrt(), change**0.5
        upper = (found < change).sum(1, keepdim=True).clamp(1, found.shape[1] - 1)
        low, high = roots.gather(1, upper - 1), roots.gather(1, upper)
        weight = (wanted - low) / (high - low).clamp_min(1e-9)
        inside = at.gather(1, upper - 1) + weight * (at.gather(1, upper) - at.gather(1, upper - 1))
        farther = at[:, -1:] * (BEYOND * wanted / roots[:, -1:].clamp_min(1e-9)).clamp(BEYOND, FARTHER)
        return torch.where(high >= wanted, inside, farther).clamp(max=1.0)[:, 0]

    def nearest(self, change: float) -> Tensor:
        """The fraction (p,) of the point of each curve whose estimated change is nearest to ``change``."""
        column = (self.estimate() - change).abs().nan_to_num(torch.inf).argmin(1, keepdim=True)
        return self.at.gather(1, column)[:, 0]

    def ended(self, change: float, all_codes: bool) -> Tensor:
        """Mask (p,) of the curves that were measured at the longest magnitude, and have no point that reaches
        ``change``.

        all_codes: the longest magnitude must have been measured on all codes.
        """
        at_end = ((self.at == 1) & (self.complete | (not all_codes))).any(1)
        return at_end & (self.sorted()[1][:, -1] < change)

    def exact(self, change: float) -> Tensor:
        """Mask (p,) of the curves with a complete point within ``EXACT`` of where they are expected to meet
        ``change``."""
        met = self.towards(change)[:, None]
        return (((self.at - met).abs() <= EXACT * met) & self.complete).any(1)

    def approach(self, target: Target, least: float, all_codes: bool = False) -> None:
        """Measure until each curve has a point within ``target``, or ends below the change ``least``; in ``ROUNDS`` at
        most.

        all_codes: only points that were measured on all codes count.
        """
        for _ in range(ROUNDS):
            change = self.estimate()
            fits = (change >= target.low) & (change <= target.high) & (self.complete | (not all_codes))
            on = ~fits.any(1) & ~self.ended(least, all_codes)
            if not on.any():
                return
            self.add(self.towards(target.aim), on, all_codes)


def trace(measure: Measure, curves: int, codes: int, taus: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Follow every curve, and give its points: fractions and non-decreasing median changes, (curves, m) each, from (0,
    0).

    codes: how many there are. taus: the three changes to meet. Near each, one point is measured on all codes; at the
    middle one, the headline, it lies within ``EXACT`` of the crossing. Where a curve stays below the middle one, all
    codes are measured at its longest magnitude and wherever it comes near.
    """
    few = min(codes, max(FEWEST, codes // 4))
    found = Curves(measure, few, torch.zeros(curves, 1), torch.zeros(curves, 1, codes))
    everyone = torch.ones(curves, dtype=torch.bool)
    low, middle, high = taus
    found.add(torch.full((curves,), START), everyone, all_codes=False)
    found.approach(Target(middle, 0.9 * middle, 1.1 * middle), middle)
    _look_inside(found, middle)
    found.add(found.nearest(middle), everyone, all_codes=True)
    found.approach(Target(middle, middle / 1.25, middle * 1.25), middle, all_codes=True)
    alive = found.sorted()[1][:, -1] >= middle
    for target in (Target(low, 0.8 * low, 1.25 * low), Target(1.08 * high, high, 1.3 * high)):
        found.approach(target, target.low)
        found.add(found.nearest(target.aim), alive, all_codes=True)
        found.approach(target, target.low, all_codes=True)
    _settle(found, middle)
    found.approach(FAR, FAR.low)
    return found.sorted()


def _look_inside(found: Curves, middle: float) -> None:
    """Where a curve ends below ``middle``, measure few codes at fractions that the search skipped."""
    on = found.ended(middle, all_codes=False)
    for fraction in INSIDE:
        found.add(torch.full((len(on),), fraction), on, all_codes=False)


def _settle(found: Curves, middle: float) -> None:
    """Measure all codes where a curve meets ``middle``; of one that ends below, at the points that come close to it."""
    below = found.ended(middle, all_codes=True)
    for column in range(1, found.at.shape[1]):
        close = below & (found.estimate()[:, column] >= CLOSE * middle)
        found.add(found.at[:, column], close, all_codes=True)
    for _ in range(ROUNDS):
        on = ~found.exact(middle) & ~found.ended(middle, all_codes=True)
        if not on.any():
            return
        found.add(found.towards(middle), on, all_codes=True)
