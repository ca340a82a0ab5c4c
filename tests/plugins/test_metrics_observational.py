"""Observational scores: closed forms, scikit-learn's mutual information, planted and mixed coordinates of the toy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gdbench_metrics.observational import (
    BINS,
    Observed,
    binned,
    entropy,
    explained,
    gap,
    measure,
    modularity,
    mutual_information,
    scores,
)
from gdbench_metrics.params import ObservationalParams
from sklearn.metrics import mutual_info_score

from gdbench import Void
from tests.plugins.metrics_subjects import PLANTED, context, subject


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def test_bins_are_of_equal_width() -> None:
    assert binned(np.array([0.0, 0.049, 0.051, 1.0]), (0.0, 1.0)).tolist() == [0, 0, 1, BINS - 1]
    assert binned(np.array([5.0, 5.0])).tolist() == [0, 0]


def test_information_is_scikit_learns(rng: np.random.Generator) -> None:
    codes = rng.normal(size=(500, 3))
    labels = binned(codes[:, 0] + 0.5 * rng.normal(size=500))
    expected = [mutual_info_score(binned(column), labels) for column in codes.T]
    assert mutual_information(codes, labels).tolist() == pytest.approx(expected)
    assert entropy(np.array([5, 0, 5])) == pytest.approx(math.log(2))


def test_explained_variance_is_r_squared(rng: np.random.Generator) -> None:
    codes = rng.normal(size=(4000, 2))
    target = 3 * codes[:, :1] + rng.normal(size=(4000, 1))
    expected = np.corrcoef(codes[:, 0], target[:, 0])[0, 1] ** 2
    assert explained(codes, target)[0] == pytest.approx(expected)
    assert explained(codes, target)[1] < 0.01


def test_gap_and_modularity_of_known_tables() -> None:
    assert gap(np.array([[0.9, 0.1], [0.2, 0.4], [0.5, 0.3]])).tolist() == pytest.approx([0.4, 0.1])
    assert gap(np.array([[0.9, 0.1]])).tolist() == pytest.approx([0.9, 0.1])
    assert modularity(np.eye(3)) == 1
    assert modularity(np.ones((3, 3))) == 0
    assert modularity(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])) == pytest.approx((1 - 1 / 8) / 2)


def test_own_factors_beat_mixed_ones(rng: np.random.Generator) -> None:
    factors = rng.normal(size=(1500, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3))).Q
    own, mixed = (
        scores([Observed(codes, binned(f), f[:, None]) for f in factors.T], 0)[0] for codes in (factors, factors @ turn)
    )
    assert own["mig"] > 0.9
    assert own["sap"] > 0.95
    assert all(own[name] > 0.95 for name in ("dci_disentanglement", "dci_completeness"))
    assert all(own[name] > mixed[name] + 0.2 for name in own if name != "modularity")
    assert own["modularity"] > mixed["modularity"]


def test_the_unit_of_a_factor_changes_nothing(rng: np.random.Generator) -> None:
    """DCI as published (Eastwood and Williams 2018): the importances for a factor sum to 1, whatever its variance."""
    codes = rng.normal(size=(800, 3))
    factors = codes @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.8, 1.0]])
    plain, scaled = (
        scores([Observed(codes, binned(f), u * f[:, None]) for f, u in zip(factors.T, units, strict=True)], 0)[0]
        for units in ((1.0, 1.0, 1.0), (1.0, 100.0, 0.01))
    )
    assert scaled == pytest.approx(plain, rel=0.01)  # trees round their splits otherwise


def test_toy_and_what_has_no_coordinates() -> None:
    found = measure(subject(PLANTED), ObservationalParams(samples=400), context(8)).values
    assert found["sap"] > 0.6
    assert found["dci_disentanglement"] > 0.8
    curved = subject(PLANTED[:2])
    curved.directions = object()  # type: ignore[assignment]
    values = measure(curved, ObservationalParams(samples=400), context(2)).values
    assert all(isinstance(value, Void) for value in values.values())


def test_dead_directions_carry_no_information() -> None:
    found = measure(
        subject(torch.cat([PLANTED, torch.zeros(8, 64)])), ObservationalParams(samples=400), context(16)
    ).values
    assert found["modularity"] < 0.55
