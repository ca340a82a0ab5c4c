"""Cost: what the core counted comes out under its names and units."""

from __future__ import annotations

from dataclasses import replace

import torch
from gdbench_metrics.cost import measure

from gdbench import NoParams
from gdbench.record import Cost
from tests.plugins.metrics_subjects import context, subject


def test_counts_and_units() -> None:
    counted = Cost(images=640, backward=320, cpu_seconds=1.5, wall_seconds=2.5, peak_memory=3 * 2**20)
    values = measure(replace(subject(torch.zeros(1, 64)), cost=counted), NoParams(), context(1)).values
    assert values == {
        "images": 640,
        "backward": 320,
        "cpu_seconds": 1.5,
        "wall_seconds": 2.5,
        "peak_memory": 3,
    }
