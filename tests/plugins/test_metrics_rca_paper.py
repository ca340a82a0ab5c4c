"""The paper's accuracy: its law of shifts, the method's own step, and the toy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gdbench_metrics.params import RcaPaperParams
from gdbench_metrics.rca_paper import form, measure, pairs, shifts
from gdbench_metrics.reconstructor import LeNet, ResNet

from gdbench import LinearDirections
from tests.plugins.metrics_subjects import PLANTED, TOY, context, subject


def test_the_law_of_shifts_is_the_official_codes() -> None:
    epsilon = shifts(np.random.default_rng(0), 200_000)
    assert epsilon.abs().min() == 0.5
    assert epsilon.abs().max() <= 6
    assert float((epsilon.abs() == 0.5).double().mean()) == pytest.approx(1 / 12, abs=0.003)  # U[-.5, .5] of U[-6, 6]
    assert float(epsilon.mean()) == pytest.approx(0, abs=0.03)
    assert float((epsilon.abs() > 3).double().mean()) == pytest.approx(0.5, abs=0.005)


def test_the_methods_own_step_is_used() -> None:
    stepped = replace(
        subject(PLANTED[4:5]), directions=LinearDirections(PLANTED[4:5], "z", torch.tensor([0.1])), _kept={}
    )
    batch = pairs(stepped, 16, np.random.default_rng(3))
    codes = TOY.sample(16, "z", np.random.default_rng(3))
    moved = codes.shifted(batch.shift[:, None] * 0.1 * stepped.directions.vectors)  # type: ignore[attr-defined]
    torch.testing.assert_close(batch.images, torch.cat([TOY.render(codes), TOY.render(moved)], 1).clamp(-1, 1))


def test_large_images_get_the_papers_large_reconstructor() -> None:
    assert form((3, 64, 64)) is LeNet
    assert form((3, 128, 128)) is ResNet


def test_planted_directions_are_named_and_duplicates_are_not() -> None:
    params = RcaPaperParams(steps=120, rate=4e-3, test=512)
    assert measure(subject(PLANTED[:4]), params, context(4)).values["accuracy"] > 0.8
    same = measure(subject(PLANTED[:1].repeat(4, 1)), replace(params, steps=20), context(4)).values["accuracy"]
    assert same == pytest.approx(0.25, abs=0.08)
