"""Curves of visible change with few renders: where each reaches given changes, searched on a part of the codes.

A curve is sqrt(median change over codes) against the fraction of the longest magnitude. It starts at 0, is straight
there (a squared distance grows with the square of a small shift) and bends down later, so that a line between two
points that are near a target meets it within a fraction of a percent. Points are found on a quarter of the codes; the
one at the headline is measured on all of them, and its ratio lifts the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor, slice], Tensor]
"""(curves (r,), fractions (r,), which codes) -> the change of each of those codes, (r, codes)."""

FEWEST = 16
"""Codes that the search is over at least: the median of fewer misleads it."""
START = 0.2
"""The fraction that is measured first: the middle, in ratios, of what methods need."""
ROUNDS = 8
FARTHER, BEYOND = 2.5, 1.1
"""How far one step goes at most, and by how much it aims too far, where the target lies beyond all points."""
INSIDE = (0.3, 0.45, 0.7)
"""Fractions at which a curve that ends below the headline is looked at too: it may have been above."""
EXACT = 0.02
"""How near, as a share, the point that is measured on all codes lies to the magnitude of the headline; of the rest the
line to the next point makes up for most."""
CLOSE = 0.85
"""The share of the headline, in change, from which on all codes decide whether a curve that ends below was above it."""


@dataclass(frozen=True)
class Target:
    """A change that a curve is followed to: a point whose change lies in [low, high] will do, and ``aim`` is tried."""

    aim: float
    low: float
    high: float


FAR = Target(1.0, 0.9, 1.2)
"""Up to a change of .9, at which masks of saliency are tried too, a curve is followed on few codes."""


@dataclass
class Curves:
    """Points measured so far on p curves of n codes: at (p, m) fractions, changes (p, m, n); NaN where not measured.

    The first point is 0, which changes nothing. few: how many codes, the first ones, the search is over.
    """

    measure: Measure
    few: int
    at: Tensor
    changes: Tensor
    _everyone: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._everyone = torch.arange(len(self.at))

    def add(self, wanted: Tensor, on: Tensor, all_codes: bool) -> None:
        """Measure the curves that a mask ``on`` (p,) names, each at its fraction ``wanted`` (p,).

        A point that is there already is only completed.
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
        """(p, m): where all codes were measured."""
        return ~self.changes[..., -1].isnan()

    def estimate(self) -> Tensor:
        """(p, m) median change over all codes, NaN where not measured.

        Where only few were, their median times the ratio of both medians at the complete points, the nearer the more.
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
        """Fractions and monotone estimated changes (p, m), from (0, 0) on; the last point repeated for gaps."""
        at, order = self.at.nan_to_num(torch.inf).sort(1)
        change = self.estimate().nan_to_num(0).gather(1, order).cummax(1).values
        last = torch.where(at.isinf(), 0, at).amax(1, keepdim=True)
        return torch.where(at.isinf(), last, at), change

    def towards(self, change: float) -> Tensor:
        """(p,) the fraction at which each curve meets ``change``, by a line between points or from the last one on."""
        at, found = self.sorted()
        roots, wanted = found.sqrt(), change**0.5
        upper = (found < change).sum(1, keepdim=True).clamp(1, found.shape[1] - 1)
        low, high = roots.gather(1, upper - 1), roots.gather(1, upper)
        weight = (wanted - low) / (high - low).clamp_min(1e-9)
        inside = at.gather(1, upper - 1) + weight * (at.gather(1, upper) - at.gather(1, upper - 1))
        farther = at[:, -1:] * (BEYOND * wanted / roots[:, -1:].clamp_min(1e-9)).clamp(BEYOND, FARTHER)
        return torch.where(high >= wanted, inside, farther).clamp(max=1.0)[:, 0]

    def nearest(self, change: float) -> Tensor:
        """(p,) the fraction of the measured point whose estimate is nearest to ``change``."""
        column = (self.estimate() - change).abs().nan_to_num(torch.inf).argmin(1, keepdim=True)
        return self.at.gather(1, column)[:, 0]

    def ended(self, change: float, all_codes: bool) -> Tensor:
        """(p,): the longest magnitude is measured, and no point reaches ``change``."""
        at_end = ((self.at == 1) & (self.complete | (not all_codes))).any(1)
        return at_end & (self.sorted()[1][:, -1] < change)

    def exact(self, change: float) -> Tensor:
        """(p,): a complete point lies within ``EXACT`` of where the curve meets ``change``."""
        met = self.towards(change)[:, None]
        return (((self.at - met).abs() <= EXACT * met) & self.complete).any(1)

    def approach(self, target: Target, least: float, all_codes: bool = False) -> None:
        """Measure on until each curve has a point within ``target`` or ends below ``least``."""
        for _ in range(ROUNDS):
            change = self.estimate()
            fits = (change >= target.low) & (change <= target.high) & (self.complete | (not all_codes))
            on = ~fits.any(1) & ~self.ended(least, all_codes)
            if not on.any():
                return
            self.add(self.towards(target.aim), on, all_codes)


def trace(measure: Measure, curves: int, codes: int, taus: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """Fractions and monotone median changes (curves, m) of every curve, from (0, 0) on.

    taus: the changes to meet, each by a point measured on all codes; ``EXACT`` at the middle one. Where a
    curve stays below the middle one, all codes are measured at its longest magnitude and wherever it comes near.
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
    """Few codes at fractions that the search skipped, where a curve ends below ``middle``."""
    on = found.ended(middle, all_codes=False)
    for fraction in INSIDE:
        found.add(torch.full((len(on),), fraction), on, all_codes=False)


def _settle(found: Curves, middle: float) -> None:
    """All codes where a curve meets ``middle``, and where it ends below, at the points that come close."""
    below = found.ended(middle, all_codes=True)
    for column in range(1, found.at.shape[1]):
        close = below & (found.estimate()[:, column] >= CLOSE * middle)
        found.add(found.at[:, column], close, all_codes=True)
    for _ in range(ROUNDS):
        on = ~found.exact(middle) & ~found.ended(middle, all_codes=True)
        if not on.any():
            return
        found.add(found.towards(middle), on, all_codes=True)
