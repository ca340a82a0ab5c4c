"""The saliency measures against pysodmetrics, whose numbers stand in benchmarks/reference, and against closed forms."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gdbench_saliency import measures

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reference" / "saliency_reference.py"
REFERENCE: dict[str, dict[str, Any]] = json.loads(SCRIPT.with_suffix(".json").read_text())["cases"]


def _cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    spec = importlib.util.spec_from_file_location("saliency_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[str, tuple[np.ndarray, np.ndarray]] = module.cases()
    return made


CASES = _cases()


@pytest.mark.parametrize("size", ["32x32", "24x37"])
def test_all_measures_are_pysodmetrics(size: str) -> None:
    names = [name for name in CASES if name.endswith(size)]
    assert len(names) > 40
    assert CASES.keys() == REFERENCE.keys()
    predictions, truths = (np.stack([CASES[name][i] for name in names]) for i in (0, 1))
    ours = measures.measure(predictions, truths)  # all images of a size at once
    e_curve = measures.e_measure(measures.counts_at_all(predictions, truths))
    for i, name in enumerate(names):
        theirs = REFERENCE[name]
        for column in ("f_half", "weighted_f", "iou", "accuracy", "mae", "s", "e"):
            assert getattr(ours, column)[i] == pytest.approx(theirs[column], abs=1e-9), f"{column} of {name}"
        np.testing.assert_allclose(ours.f_curve[i, ::15], theirs["f_curve"], atol=1e-9, err_msg=name)
        np.testing.assert_allclose(e_curve[i, ::15], theirs["e_curve"], atol=1e-9, err_msg=name)


def test_one_image_gives_what_it_gives_among_others() -> None:
    names = [name for name in CASES if name.endswith("32x32")][:9]
    predictions, truths = (np.stack([CASES[name][i] for name in names]) for i in (0, 1))
    together = measures.measure(predictions, truths)
    alone = measures.joined([measures.measure(predictions[i : i + 1], truths[i : i + 1]) for i in range(len(names))])
    for field in measures.PerImage.__annotations__:
        np.testing.assert_array_equal(getattr(together, field), getattr(alone, field))


def test_a_centroid_in_the_last_column_is_no_fault() -> None:
    truth = np.zeros((1, 8, 8), bool)
    truth[0, :, 7] = True  # two of the four parts are empty; pysodmetrics says NaN
    assert measures.s_measure(truth.astype(float), truth)[0] == pytest.approx(1, abs=1e-12)


def test_max_f_is_of_the_mean_curve() -> None:
    """Two images whose best thresholds differ: the mean curve's best is below the mean of the bests."""
    truth = np.zeros((2, 4, 4), bool)
    truth[:, :2] = True
    maps = np.where(truth, [[[0.9]], [[0.3]]], [[[0.6]], [[0.0]]])
    images = measures.measure(maps, truth)
    best_of_each = images.f_curve.max(1)
    assert best_of_each == pytest.approx([1, 1])
    low = 1.3 * 0.5 / (0.3 * 0.5 + 1)  # everything is called object: precision .5, recall 1
    assert measures.summary(images)["max_F"] == pytest.approx(max((1 + low) / 2, (1 + 0) / 2))


def test_the_interval_is_that_of_the_normal_theory() -> None:
    """The mean absolute error of many images: the bootstrap agrees with 1.96 standard errors."""
    rng = np.random.default_rng(0)
    maps, truths = rng.random((400, 4, 4)) * rng.random((400, 1, 1)), rng.random((400, 4, 4)) < 0.5
    images = measures.measure(maps, truths)
    low, high = measures.intervals(images, np.random.default_rng(1))["MAE"]
    error = 1.96 * images.mae.std() / 20
    assert low == pytest.approx(images.mae.mean() - error, abs=0.15 * error)
    assert high == pytest.approx(images.mae.mean() + error, abs=0.15 * error)


def test_the_interval_of_equal_images_is_a_point() -> None:
    truth = np.zeros((5, 4, 4), bool)
    truth[:, 1:3] = True
    images = measures.measure(np.where(truth, 0.8, 0.1), truth)
    value = measures.summary(images)
    for name, (low, high) in measures.intervals(images, np.random.default_rng(1), 50).items():
        assert low == pytest.approx(value[name])
        assert high == pytest.approx(value[name])


@pytest.mark.parametrize(
    ("maps", "truths", "message"),
    [
        (np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2), bool), r"lie in \[0, 1\]"),
        (np.full((1, 2, 2), 1.1), np.zeros((1, 2, 2), bool), r"lie in \[0, 1\]"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), "boolean truths"),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 3), bool), "boolean truths"),
    ],
)
def test_other_input_is_refused(maps: np.ndarray, truths: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measures.measure(maps, truths)
