"""How many directions can be told apart: known answers, and another library's discriminant analysis."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gdbench_metrics.distinct import confusion, information, measure, moved, shrunk
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from gdbench import NoParams
from tests.plugins.metrics_subjects import PLANTED, context, random_directions, subject

RNG = np.random.default_rng(3)


def test_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    for n, d in ((40, 30), (400, 5)):
        rows = RNG.standard_normal((n, d)) @ RNG.standard_normal((d, d))
        theirs = LedoitWolf(assume_centered=True).fit(rows).covariance_
        assert np.allclose(shrunk(torch.from_numpy(rows)).numpy(), theirs, rtol=1e-6)


def test_the_reader_names_what_another_library_names() -> None:
    k, n, d = 5, 30, 12
    centres = RNG.standard_normal((k, 2, 1, d))
    fit, test = (torch.from_numpy(centres + 1.5 * RNG.standard_normal((k, 2, n, d))) for _ in range(2))
    within = (fit - fit.mean(2, keepdim=True)).reshape(-1, d)

    class Estimate:
        """The pooled covariance within classes, which the other library would average over classes itself."""

        def fit(self, _: object) -> Estimate:
            self.covariance_ = shrunk(within).numpy()
            return self

    classes = np.arange(2 * k).repeat(n)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Estimate())
    theirs.fit(fit.reshape(-1, d).numpy(), classes)
    named = theirs.predict(test.reshape(-1, d).numpy()) // 2
    expected = np.zeros((k, k))
    np.add.at(expected, (classes // 2, named), 1)
    assert np.array_equal(confusion(fit, test).numpy(), expected)
    assert 0.3 < np.trace(expected) / expected.sum() < 0.95  # a case in which the reader errs


def test_information_of_known_tables() -> None:
    assert information(100 * torch.eye(4)) == pytest.approx(2 + 3 / (2 * 400) / math.log(2))
    assert information(torch.full((4, 4), 50.0)) == 0
    halves = torch.block_diag(torch.full((2, 2), 1e6), torch.full((2, 2), 1e6))
    assert information(halves) == pytest.approx(1, abs=1e-5)


def test_the_correction_takes_away_what_chance_gives() -> None:
    tables = [RNG.multinomial(200, np.full(64, 1 / 64)).reshape(8, 8) for _ in range(200)]
    assert np.mean([information(torch.from_numpy(table).double()) for table in tables]) < 0.06  # .18 uncorrected


def test_planted_directions_are_told_apart_and_copies_or_dead_ones_are_not() -> None:
    def distinct(vectors: torch.Tensor) -> float:
        values = measure(subject(vectors, n=64), NoParams(), context(len(vectors))).values
        return float(values["distinct"])  # type: ignore[arg-type]

    assert distinct(PLANTED) > 0.85 * len(PLANTED)
    assert distinct(PLANTED[[0] * len(PLANTED)]) < 1.2
    assert distinct(torch.zeros_like(PLANTED)) == pytest.approx(1)
    half = PLANTED.clone()
    half[: len(PLANTED) // 2] = 0
    assert distinct(half) < 0.75 * len(PLANTED)


def test_signs_and_order_do_not_matter() -> None:
    vectors = random_directions(6)
    one = measure(subject(vectors), NoParams(), context(6)).values["bits"]
    other = measure(subject(-vectors.flip(0)), NoParams(), context(6)).values["bits"]
    assert one == pytest.approx(other, abs=0.02)


def test_dead_signs_are_unedited() -> None:
    edits = subject(torch.zeros(2, PLANTED.shape[1])).edits()
    assert float(moved(edits).abs().max()) == 0
