"""The metric `saliency`: masks that a background direction gives for nothing, and what a segmenter learns from them."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import Column, MetricSpec, hookimpl
from gdbench_saliency.params import SaliencyParams

SHARE = (0.0, 1.0)
COLUMNS = (
    Column("IoU", "intersection over union at 0.5 on real images", ranked=True, range=SHARE),
    Column("F_half", "F (beta² = .3) at 0.5", range=SHARE),
    Column("max_F", "largest F of the mean curve over thresholds, which the test set chooses", range=SHARE),
    Column("weighted_F", "F with errors weighted by place", range=SHARE),
    Column("accuracy", "share of pixels that are right at 0.5", range=SHARE),
    Column("MAE", "mean absolute error of the probability", "lower", range=SHARE),
    Column("S", "structure measure", range=SHARE),
    Column("E", "enhanced alignment measure, mean over thresholds", range=SHARE),
    Column("IoU_paper", "IoU with direction and masks at the paper's shift of 26 steps", range=SHARE),
    Column("score", "automatic score of the chosen direction: border whiter, centre and edges as before; 1 at most"),
    Column("tested", "images tested", "neither"),
    Column("left_white", "images left out because their background is white already", "neither"),
    Column("left_empty", "images left out because they show no object", "neither"),
    Column("floor_none", "IoU without a shift", "neither", range=SHARE),
    Column("floor_random", "IoU of the best of K random directions by the automatic score", "neither", range=SHARE),
    Column("floor_coordinate", "IoU of the best of K coordinates by the automatic score", "neither", range=SHARE),
    Column(
        "ceiling_supervised", "IoU of the direction from labels; below .5 the metric is void", "neither", range=SHARE
    ),
    Column("ceiling_exact", "IoU of training on exact masks", "neither", range=SHARE),
)
PAPER = {
    "mask": "intensity",
    "threshold": 0.95,
    "paper_shift": True,
    "codes": 128,
    "pool": 1280,
    "reuse": 1,
    "widths": [64, 128, 256, 512, 512],
    "steps": 15_000,
    "batch": 128,
    "rate": 0.005,
    "decay": 4000,
    "temperature": 10.0,
    "test": 5000,
}


@hookimpl
def gdbench_metrics() -> Iterable[MetricSpec]:
    """Offer saliency."""
    yield MetricSpec(
        name="saliency",
        summary="does a direction whiten the background so well that its masks teach a segmenter?",
        measure="gdbench_saliency.saliency:measure",
        columns=COLUMNS,
        params=SaliencyParams,
        smoke={"codes": 4, "pool": 64, "steps": 4, "widths": [4, 8, 8], "test": 40, "attempts": 10},
        tiers={
            "standard": {"paper_shift": True, "steps": 1000, "decay": 400, "codes": 128, "test": 2000},
            "paper": PAPER,
        },
        needs=("domain",),  # not "masks": a folder of images and masks will do
        citation="Voynov and Babenko, Unsupervised Discovery of Interpretable Directions, ICML 2020, section 5.4",
    )
