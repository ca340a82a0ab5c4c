"""MIG, DCI, SAP and modularity of straight directions as coordinates of the prior (PROTOCOL, `observational`).

Nothing is edited here: codes c_k = <v_k, z> and oracle B's factors of unedited images. Kept apart from the
interventional scores, because a coordinate can go with a factor that moving along the direction does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gdbench import Context, Domain, Factor, Scores, StraightDirections, Subject, Void, coordinates, visible
from gdbench_metrics import factor_gates
from gdbench_metrics.factor_scores import concentration
from gdbench_metrics.params import FactorsParams, ObservationalParams

COLUMNS = ("mig", "sap", "dci_disentanglement", "dci_completeness", "modularity")
BINS = 20  # as the common implementations have it
TREES = 30

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """One factor where it is visible: codes (n, k), its values binned (n,), and as targets of a regression (n, m)."""

    codes: Array
    classes: NDArray[np.int64]
    targets: Array


@torch.no_grad()
def measure(subject: Subject, params: ObservationalParams, context: Context) -> Scores:
    """Score the coordinates of unedited codes against the factors that count for this generator."""
    if not isinstance(subject.directions, StraightDirections):
        return _void("only straight directions have coordinates")
    domain = subject.domain
    assert domain is not None
    counted = _counted(subject, domain)
    if isinstance(counted, Void):
        return _void(counted.reason)
    if len(counted) < 2:
        return _void("fewer than two factors count for this generator")
    seed = int(context.stream("metric").of("observational").at().integers(2**31))
    return Scores(*scores(_observed(subject, domain, counted, subject.directions.vectors, params.samples), seed))


def scores(observed: Sequence[Observed], seed: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The columns, and of each coordinate its largest information (nats) on a factor and its importance in DCI.

    Definitions: Chen et al. 2018 (MIG), Kumar et al. 2018 (SAP, by explained variance), Eastwood and Williams 2018
    (DCI, boosted trees), Ridgeway and Mozer 2018 (modularity).
    """
    information = np.stack([mutual_information(factor.codes, factor.classes) for factor in observed], 1)
    entropies = np.array([entropy(np.bincount(factor.classes)) for factor in observed])
    variance = np.stack([explained(factor.codes, factor.targets) for factor in observed], 1)
    weights = torch.from_numpy(np.stack([importance(factor, seed) for factor in observed], 1))
    values = {
        "mig": float((gap(information) / np.maximum(entropies, 1e-12)).mean()),
        "sap": float(gap(variance).mean()),
        "dci_disentanglement": concentration(weights),
        "dci_completeness": concentration(weights.T),
        "modularity": modularity(information),
    }
    each = {"information": information.max(1).tolist(), "importance": weights.sum(1).tolist()}
    return values, each


def _void(reason: str) -> Scores:
    return Scores(dict.fromkeys(COLUMNS, Void(reason)))


def _counted(subject: Subject, domain: Domain) -> Sequence[Factor] | Void:
    gates = factor_gates.gates(subject, domain, FactorsParams().samples)
    return gates if isinstance(gates, Void) else gates.counted


def _observed(subject: Subject, domain: Domain, factors: Sequence[Factor], vectors: Tensor, n: int) -> list[Observed]:
    latents = subject.codes(n, "metric/prior").latents.cpu().double()
    codes = (latents if latents.dim() == 2 else latents.mean(1)) @ vectors.double().T
    readings = subject.prior(n).factors
    found = []
    for factor in factors:
        seen = visible(factor, readings, domain.factors)
        values = readings[factor.name][seen].double()
        found.append(Observed(codes[seen].numpy(), classes(factor, values), coordinates(factor, values).numpy()))
    return found


def classes(factor: Factor, values: Tensor) -> NDArray[np.int64]:
    """The class, or one of BINS bins of equal width over the values' range (over the turn)."""
    if factor.kind == "class":
        return values.argmax(-1).numpy()
    reach = (0.0, 1.0) if factor.kind == "circular" else None
    return binned(values.numpy(), reach)


def binned(values: Array, reach: tuple[float, float] | None = None) -> NDArray[np.int64]:
    """Positions (n,) of values among BINS bins of equal width over ``reach``, or over what occurs."""
    low, high = reach or (float(values.min()), float(values.max()))
    position = (values - low) / max(high - low, 1e-12) * BINS
    return np.clip(position.astype(np.int64), 0, BINS - 1)


def mutual_information(codes: Array, labels: NDArray[np.int64]) -> Array:
    """Mutual information (k,) in nats of each binned coordinate (n, k) with the labels."""
    return np.array([_information(binned(column), labels) for column in codes.T])


def _information(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    joint = np.bincount(a * (int(b.max()) + 1) + b)
    return entropy(np.bincount(a)) + entropy(np.bincount(b)) - entropy(joint)


def entropy(counts: NDArray[np.int64]) -> float:
    """Entropy in nats of a table of counts."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def explained(codes: Array, targets: Array) -> Array:
    """Share (k,) of the variance of the targets (n, m) that a line through each coordinate explains."""
    c, y = codes - codes.mean(0), targets - targets.mean(0)
    covariance = c.T @ y / len(c)
    deviation = np.maximum(c.std(0), 1e-12)
    return np.asarray(np.square(covariance / deviation[:, None]).sum(1) / max(float(y.var(0).sum()), 1e-12))


def importance(factor: Observed, seed: int) -> Array:
    """Share (k,) of each coordinate in what boosted trees predict of the targets, weighted by their variance.

    It sums to 1 (or is 0 where nothing varies), so that a factor's unit and kind do not decide its weight in DCI.
    """
    from sklearn.ensemble import GradientBoostingRegressor

    total = np.zeros(factor.codes.shape[1])
    for target in factor.targets.T:
        if target.std() > 0:
            trees = GradientBoostingRegressor(n_estimators=TREES, subsample=0.5, random_state=seed)
            total += target.var() * trees.fit(factor.codes, target).feature_importances_
    return total / max(float(total.sum()), 1e-12)


def gap(table: Array) -> Array:
    """Difference (j,) of the two largest entries of each column (k, j); the largest where there is one row."""
    ordered = np.sort(table, 0)[::-1]
    return np.asarray(ordered[0] - (ordered[1] if len(ordered) > 1 else 0.0))


def modularity(information: Array) -> float:
    """Mean over rows (k, j) of 1 - sum of squares beside the largest / (largest^2 (j - 1)); rows of zeros count 0."""
    squares = np.square(information)
    largest = squares.max(1)
    beside = (squares.sum(1) - largest) / (np.maximum(largest, 1e-24) * (information.shape[1] - 1))
    return float(np.where(largest > 1e-24, 1 - beside, 0.0).mean())
