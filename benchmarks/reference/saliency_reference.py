"""Make saliency_reference.json: what pysodmetrics 1.6.2 says of small maps and masks that a seed makes again.

pysodmetrics caps the version of numpy, so it is no dependency. It lives in an environment of its own:

    python3 -m venv ENV
    ENV/bin/pip install pysodmetrics==1.6.2
    ENV/bin/python benchmarks/reference/saliency_reference.py

tests/plugins/test_saliency_measures.py builds the same cases with ``cases()`` and compares.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Case = tuple[NDArray[np.float64], NDArray[np.bool_]]
SHAPES = ((32, 32), (24, 37))


def cases() -> dict[str, Case]:
    """Name -> prediction (h, w) float64 in [0, 1] and truth (h, w) bool. Pure arithmetic: the same on every machine."""
    made: dict[str, Case] = {}
    for h, w in SHAPES:
        rng = np.random.Generator(np.random.PCG64(h * w))
        noise = np.round(rng.random((h, w)), 6)
        scatter, blob, two = rng.random((h, w)) < 0.3, _disc(h, w, 0.45, 0.6, 0.25), _disc(h, w, 0.3, 0.3, 0.15)
        two |= _disc(h, w, 0.7, 0.75, 0.2)
        ring = _disc(h, w, 0.5, 0.45, 0.35) & ~_disc(h, w, 0.5, 0.45, 0.18)
        empty, full, one = np.zeros((h, w), bool), np.ones((h, w), bool), np.zeros((h, w), bool)
        one[h // 2, w // 3] = True
        soft = np.round(np.clip(0.7 * blob + 0.4 * noise - 0.1, 0, 1), 6)
        moved = np.roll(two, (2, -1), (0, 1)).astype(float)
        predictions = {"noise": noise, "soft": soft, "moved": moved, "zero": empty * 1.0, "one": full * 1.0}
        truths = {"scatter": scatter, "blob": blob, "two": two, "ring": ring, "empty": empty, "full": full}
        truths["pixel"] = one
        for left, prediction in predictions.items():
            for right, truth in truths.items():
                made[f"{left}-{right}-{h}x{w}"] = prediction, truth
        for name, truth in truths.items():
            made[f"itself-{name}-{h}x{w}"] = truth.astype(float), truth
        made[f"half-blob-{h}x{w}"] = np.full((h, w), 0.5), blob
        made[f"inverse-blob-{h}x{w}"] = 1.0 - blob, blob
    return made


def _disc(h: int, w: int, y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = (np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w
    return np.asarray((rows[:, None] - y) ** 2 + (columns - x) ** 2 < radius**2)


def reference(prediction: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, Any]:
    """The library's numbers of one image; curves at every fifteenth of their 256 thresholds, and their mean."""
    import py_sod_metrics as sod

    handlers = {
        "f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=False, with_binary=True, beta=0.3),
        "iou": sod.IOUHandler(with_dynamic=False, with_adaptive=False, with_binary=True),
        "accuracy": sod.OverallAccuracyHandler(with_dynamic=False, with_adaptive=False, with_binary=True),
    }
    tools = {"f": sod.FmeasureV2(handlers), "mae": sod.MAE(), "s": sod.Smeasure(), "e": sod.Emeasure()}
    tools["weighted_f"] = sod.WeightedFmeasure()
    for tool in tools.values():
        tool.step(prediction, truth, normalize=False)
    found = {name: tool.get_results() for name, tool in tools.items()}
    binary = {name: found["f"][name]["binary"] for name in handlers}
    f_curve, e_curve = found["f"]["f"]["dynamic"], found["e"]["em"]["curve"]
    return {
        "f_half": float(binary["f"]),
        "iou": float(binary["iou"]),
        "accuracy": float(binary["accuracy"]),
        "mae": float(found["mae"]["mae"]),
        "s": float(found["s"]["sm"]),
        "e": float(e_curve.mean()),
        "weighted_f": float(found["weighted_f"]["wfm"]),
        "f_curve": f_curve[::15].tolist(),
        "e_curve": e_curve[::15].tolist(),
    }


def main() -> None:
    """Write the numbers beside this file."""
    values = {name: reference(*case) for name, case in cases().items()}
    made = {"pysodmetrics": version("pysodmetrics"), "numpy": version("numpy"), "cases": values}
    Path(__file__).with_suffix(".json").write_text(json.dumps(made, indent=0) + "\n")


if __name__ == "__main__":
    main()
