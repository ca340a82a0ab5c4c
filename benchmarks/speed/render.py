"""Images per CPU second of the scenes renderer on one core: ``OMP_NUM_THREADS=1 python benchmarks/speed/render.py``.

Prints the best and the median of interleaved rounds; the aim is 5,000 images/s at 32 px.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from gdbench_scenes.render import render, sample_factors

IMAGES, ROUNDS = 4096, 7
RESOLUTIONS = (32, 64)


def rate(resolution: int, rng: np.random.Generator) -> float:
    """Images per CPU second, the draw of the factors included."""
    begun = time.process_time()
    render(sample_factors(IMAGES, rng), resolution)
    return IMAGES / (time.process_time() - begun)


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    rates = [[rate(resolution, rng) for resolution in RESOLUTIONS] for _ in range(ROUNDS)]
    for resolution, measured in zip(RESOLUTIONS, zip(*rates, strict=True), strict=True):
        print(f"{resolution} px: best {max(measured):,.0f} images/s, median {statistics.median(measured):,.0f}")


if __name__ == "__main__":
    main()
