"""The effect of each direction on each factor, in spreads of the factor, from oracle B's readings of shared edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gdbench import Edits, Factor, difference, turned, visible
from gdbench_metrics.factor_scores import Effects

SEEN = 8  # codes in which a factor must be visible before and after, or the direction is taken not to move it at all


def of_codes(edits: Edits, kept: Tensor) -> Edits:
    """The edits of the codes that a mask (n,) keeps, as far as oracle B's factors go."""
    before = {name: values[kept] for name, values in edits.base.factors.items()}
    after = {name: values[:, :, kept] for name, values in edits.edited.factors.items()}
    return replace(edits, base=replace(edits.base, factors=before), edited=replace(edits.edited, factors=after))


def effects(
    edits: Edits, factors: Sequence[Factor], counted: Sequence[Factor], spreads: Mapping[str, float]
) -> Effects:
    """R_kj = E |f_j(edited) - f_j(original)| / sigma_j over codes and signs (PROTOCOL, `factors`).

    factors: all of the domain; counted: the columns; spreads: sigma_j by name.
    """
    columns = [_moved(edits, factors, factor) / spreads[factor.name] for factor in counted]
    table = torch.stack(columns, -1) * edits.alive[..., None]
    return Effects(table.mean(1), edits.alive.float().mean(1))


def _moved(edits: Edits, factors: Sequence[Factor], factor: Factor) -> Tensor:
    """(k, 2): mean distance of a factor before and after, over the codes where it is visible in both."""
    before, after = edits.base.factors, edits.edited.factors
    both = visible(factor, after, factors) & visible(factor, before, factors)
    moved = difference(factor, before[factor.name].float(), after[factor.name].float())
    n = both.sum(-1)
    return torch.where(n >= SEEN, (moved * both).sum(-1) / n.clamp_min(1), 0.0)


def monotonicity(edits: Edits, factors: Sequence[Factor], leading: Sequence[Factor]) -> Tensor:
    """(k,) in [-1, 1]: does each direction's ``leading`` factor rise through -t, 0, +t (or fall) in every code?

    Mean over codes and the two steps of sign(step) times the sign of the mean change; about 0 for noise. A step to a
    dead sign counts 0; a code in which the factor is not visible throughout is left out, and fewer than SEEN others say
    nothing: 0. A class counts by the probability that changes most.
    """
    return torch.stack([_ordered(edits, factors, factor, k) for k, factor in enumerate(leading)])


def _ordered(edits: Edits, factors: Sequence[Factor], factor: Factor, k: int) -> Tensor:
    before = edits.base.factors
    after = {name: values[k] for name, values in edits.edited.factors.items()}
    seen = visible(factor, before, factors) & visible(factor, after, factors).all(0)
    up, down = _signed(factor, before[factor.name], after[factor.name])
    steps = torch.stack([up, -down]).sign() * edits.alive[k, :, None]
    if int(seen.sum()) < SEEN:
        return torch.zeros(())
    return (up - down)[seen].mean().sign() * (steps * seen).sum() / (2 * seen.sum())


def _signed(factor: Factor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Signed change (n,) to the edit with + and to that with -; after is (2, n, ...)."""
    if factor.kind == "circular":
        return turned(before, after[0]), turned(before, after[1])
    if factor.kind == "class":
        largest = (after[0] - after[1]).mean(0).abs().argmax()
        before, after = before[..., largest], after[..., largest]
    return after[0] - before, after[1] - before
