"""What directions do to known factors: the interventional scores of PROTOCOL, `factors`. Oracle B scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gdbench import Context, Factor, Scores, Subject, Void, block_values
from gdbench_metrics import factor_gates
from gdbench_metrics.effects import effects, monotonicity, of_codes
from gdbench_metrics.factor_scores import Effects, scores
from gdbench_metrics.params import FactorsParams

SCORED = ("disentanglement", "completeness", "monotonicity")


def measure(subject: Subject, params: FactorsParams, context: Context) -> Scores:
    """Score the shared edits; columns are void where no factor counts."""
    domain = subject.domain
    assert domain is not None
    gates = factor_gates.gates(subject, domain, params.samples)
    if isinstance(gates, Void):
        return Scores(dict.fromkeys((*SCORED, "counted"), gates))
    gates.tell(context)
    counted, failed, numbers = gates.counted, gates.failed, gates.numbers
    if not counted:
        return Scores({**dict.fromkeys(SCORED, gates.none), "counted": 0.0})
    spreads = {factor.name: numbers[f"spread:{factor.name}"] for factor in counted}
    edits = subject.edits()
    found = effects(edits, domain.factors, counted, spreads)
    leading = [counted[j] for j in found.table.argmax(1)]
    ordered = monotonicity(edits, domain.factors, leading)
    values = {**scores(found), "monotonicity": float(ordered.mean()), "counted": float(len(counted))}
    alone = {"completeness": Void("with one direction every factor has one")} if subject.k == 1 else {}

    def of_part(kept: torch.Tensor) -> dict[str, float]:
        part = of_codes(edits, kept)
        again = monotonicity(part, domain.factors, leading)
        return {**scores(effects(part, domain.factors, counted, spreads)), "monotonicity": float(again.mean())}

    blocks = block_values(of_part, len(edits.codes))
    blocks = {name: parts for name, parts in blocks.items() if name not in alone}
    return Scores({**values, **alone}, _table(found, counted, failed, domain.factors, ordered), blocks=blocks)


def _table(
    found: Effects,
    counted: Sequence[Factor],
    failed: Mapping[str, str],
    factors: Sequence[Factor],
    ordered: torch.Tensor,
) -> dict[str, list[float]]:
    """Per direction: its effect on each counted factor, NaN for each void one (named with its gate), its leading factor
    (position in the domain's list; -1 for a dead direction), its share of the row, and how monotone it is."""
    order = [factor.name for factor in factors]
    position = torch.tensor([order.index(factor.name) for factor in counted])
    leading = torch.where(found.alive > 0, position[found.table.argmax(1)], -1)
    columns = {f"R:{factor.name}": found.table[:, j].tolist() for j, factor in enumerate(counted)}
    columns |= {f"void:{name}:{gate}": [float("nan")] * len(found.table) for name, gate in failed.items()}
    shares = found.shares.max(1).values
    return columns | {"leading": leading.tolist(), "share": shares.tolist(), "monotonicity": ordered.tolist()}
