"""Recall and precision of known factors: how many do directions recover, and how purely? (PROTOCOL, "Recovery")"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gdbench import CodeDependent, Context, Domain, Factor, Scores, Stream, Subject, Void, block_values
from gdbench_metrics import factor_gates
from gdbench_metrics.matching import Judged, best, curves, judged, summary
from gdbench_metrics.params import RecoveryParams
from gdbench_metrics.shares import Changes, Contrasts, changes, contrasts, wording

COLUMNS = ("recall", "precision", "F1", "purity", "found", "led")
ORDERS = 16  # random orders of the directions over which recall@k and precision@k of unordered methods are taken


def measure(subject: Subject, params: RecoveryParams, context: Context) -> Scores:
    """Shares of every direction and factor from the shared edits; columns are void where no factor counts."""
    domain = subject.domain
    assert domain is not None
    if isinstance(subject.directions, CodeDependent):
        return _void(Void("the directions depend on the code and have no meaning in common that could be named"))
    gates = factor_gates.gates(subject, domain, params.samples)
    if isinstance(gates, Void):
        return _void(gates)
    gates.tell(context)
    counted, numbers = gates.counted, gates.numbers
    if not counted:
        return _void(gates.none)
    edits = subject.edits()
    variances = {factor.name: numbers[f"variance:{factor.name}"] for factor in counted}
    parts = contrasts(edits, domain.factors, counted, variances)
    n = len(edits.codes)

    def scored(kept: Tensor) -> dict[str, float]:
        return {**summary(halves(parts, edits.alive, kept)), "counted": float(len(counted))}

    everything = torch.ones(n, dtype=torch.bool)
    table = _table(parts, edits.alive, halves(parts, edits.alive, everything), domain, counted, gates.failed)
    blocks = block_values(scored, n)
    return Scores(scored(everything), table, blocks={name: blocks[name] for name in COLUMNS[:4] if name in blocks})


def _void(reason: Void) -> Scores:
    return Scores(dict.fromkeys((*COLUMNS, "counted"), reason))


def halves(parts: Sequence[Contrasts], alive: Tensor, kept: Tensor) -> list[Judged]:
    """Even codes decide and odd ones score, and the other way round; kept (n,) bool says which codes there are."""
    even = torch.arange(len(kept)) % 2 == 0
    one, other = (changes(parts, alive, kept & part) for part in (even, ~even))
    return [judged(one, other), judged(other, one)]


def _table(
    parts: Sequence[Contrasts],
    alive: Tensor,
    judgements: Sequence[Judged],
    domain: Domain,
    counted: Sequence[Factor],
    failed: Mapping[str, str],
) -> dict[str, Sequence[float] | Sequence[str]]:
    """One row per direction.

    share:FACTOR: mean of both halves' scores. best:FACTOR: in the row of a factor's best direction the share that it
    has where it was not chosen, NaN elsewhere. change:FACTOR: consistent change in spreads, of all codes.
    void:FACTOR:GATE: NaN, a factor that does not count. leading, share: the factor with the largest share (position in
    the domain's list, -1 for none) and that share. plus: what + does to it. recall_at, precision_at (in the order
    given), recall_any, precision_any (mean over random orders): of the first k directions, in row k.
    """
    whole = changes(parts, alive, torch.ones(parts[0].seen.shape[1], dtype=torch.bool))
    score = np.mean([half.score for half in judgements], 0)
    k, names = len(score), [factor.name for factor in domain.factors]
    lead = np.where(score.max(1) > 0, score.argmax(1), -1)
    columns: dict[str, Sequence[float] | Sequence[str]] = {}
    found = np.mean([best(half) for half in judgements], 0)
    for j, factor in enumerate(counted):
        columns[f"share:{factor.name}"] = score[:, j].tolist()
        chosen = np.where(np.arange(k) == score[:, j].argmax(), found[j], np.nan)
        columns[f"best:{factor.name}"] = chosen.tolist()
        columns[f"change:{factor.name}"] = whole.consistent[:, j].clamp_min(0).sqrt().tolist()
    columns |= {f"void:{name}:{gate}": [float("nan")] * k for name, gate in failed.items()}
    columns["leading"] = [names.index(counted[j].name) if j >= 0 else -1 for j in lead]
    columns["share"] = np.where(lead >= 0, score.max(1), 0.0).tolist()
    columns["plus"] = [_plus(parts, whole, row, int(j)) for row, j in enumerate(lead)]
    columns["recall_at"], columns["precision_at"] = curves(judgements, torch.arange(k)[None])
    rng = Stream(0, "metric/recovery/orders").at()
    orders = torch.from_numpy(np.stack([rng.permutation(k) for _ in range(ORDERS)]))
    columns["recall_any"], columns["precision_any"] = curves(judgements, orders)
    return columns


def _plus(parts: Sequence[Contrasts], whole: Changes, row: int, factor: int) -> str:
    return wording(parts[factor], row, bool(whole.turns[row, factor])) if factor >= 0 else ""
