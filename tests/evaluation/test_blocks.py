"""Values of blocks against block means, the jackknife's variance and what leaderboards make of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gdbench import block_values
from gdbench.boards.statistics import paired
from gdbench.errors import PluginError
from gdbench.evaluation.blocks import BLOCKS
from gdbench.record import Score
from gdbench.runs.measuring import as_scores

VALUES = torch.from_numpy(np.random.default_rng(0).standard_normal(BLOCKS * 8))


def test_blocks_of_a_mean_are_the_means_of_the_blocks() -> None:
    found = block_values(lambda kept: {"mean": float(VALUES[kept].mean())}, len(VALUES))
    assert found["mean"] == pytest.approx(VALUES.reshape(BLOCKS, 8).mean(1).tolist())


def test_blocks_of_a_ratio_have_the_variance_of_the_delta_method() -> None:
    """A ratio of means, a/b: variance of (x - r y) / mean(y), over blocks (Cochran 1977, section 6.4)."""
    rng = np.random.default_rng(1)
    x, y = torch.from_numpy(rng.normal(3, 1, (2, BLOCKS * 200)))
    found = block_values(lambda kept: {"ratio": float(x[kept].mean() / y[kept].mean())}, len(x))["ratio"]
    linear = ((x - x.mean() / y.mean() * y) / y.mean()).reshape(BLOCKS, -1).mean(1)
    assert np.std(found) == pytest.approx(float(linear.std(correction=0)), rel=0.02)
    assert np.mean(found) == pytest.approx(float(x.mean() / y.mean()), abs=1e-4)


def test_few_things_have_no_blocks() -> None:
    assert block_values(lambda kept: {"mean": 0.0}, BLOCKS - 1) == {}
    assert len(block_values(lambda kept: {"mean": 0.0}, BLOCKS)["mean"]) == BLOCKS


def test_wrong_blocks_are_refused() -> None:
    with pytest.raises(PluginError, match="blocks of other, which is no column"):
        as_scores({"one": 1.0}, {"other": [0.0] * BLOCKS})
    with pytest.raises(PluginError, match=f"returned 2 blocks, expected {BLOCKS}"):
        as_scores({"one": 1.0}, {"one": [0.0, 1.0]})
    with pytest.raises(ValueError, match="finite"):
        Score(1.0, blocks=(float("nan"),))


def test_a_paired_difference_over_blocks_forgets_what_the_sample_shares() -> None:
    """Two methods on the same codes: the blocks differ by 10, the methods by 1 in every block."""
    sample = 10 * np.random.default_rng(2).standard_normal(BLOCKS)
    got = paired((sample + 1).tolist(), sample.tolist())
    assert got is not None
    assert got[:3] == pytest.approx((1, 1, 1))


def test_blocks_survive_the_record_and_old_scores_have_none() -> None:
    from tests.runs.test_store import RECORD

    with_blocks = {"m": {"one": Score(1.0, blocks=(0.5, 1.5)), "two": Score(2.0)}}
    text = type(RECORD)(**{**RECORD.__dict__, "scores": with_blocks}).to_json()
    assert json.loads(text)["scores"]["m"] == {
        "one": {"value": 1.0, "void": None, "units": [0.5, 1.5]},
        "two": {"value": 2.0, "void": None},
    }
    assert type(RECORD).from_json(text).scores == with_blocks
