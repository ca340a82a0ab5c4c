"""Principal components of 10^6 codes of 512 numbers: ``python benchmarks/speed/ganspace_pca.py``.

The exact float64 covariance of ``ganspace`` against scikit-learn's IncrementalPCA (as in the official code) on the
same samples. Chunks are drawn, given to both in turn and forgotten; process CPU time, one thread. The aim is 10 times
less time, in memory that does not grow with the number of samples.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
from gdbench_ganspace.components import Array, Components, covariance, exact
from sklearn.decomposition import IncrementalPCA
from threadpoolctl import threadpool_limits

WIDTH, BATCH = 512, 2_000
"""The official chunk size."""


class Clock:
    """Process CPU seconds of the parts of a run."""

    def __init__(self) -> None:
        self._last, self.seconds = time.process_time(), dict[str, float]()

    def stop(self, part: str) -> None:
        """Everything since the last call was ``part``."""
        now = time.process_time()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now


def chunks(samples: int) -> Iterator[Array]:
    """Skewed, correlated codes with a mean, as those of a style space are."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((WIDTH, WIDTH), dtype=np.float32) * np.geomspace(1, 0.01, WIDTH, dtype=np.float32)
    for _ in range(samples // BATCH):
        hidden = rng.standard_normal((BATCH, WIDTH), dtype=np.float32) @ mixing
        yield np.maximum(hidden, 0.2 * hidden).astype(np.float64)


def race(samples: int, k: int) -> tuple[Clock, Components, IncrementalPCA]:
    """Both on the same samples, chunk by chunk in turn."""
    clock, incremental = Clock(), IncrementalPCA(k)

    def shared() -> Iterator[Array]:
        clock.stop("exact")
        for rows in chunks(samples):
            clock.stop("drawing")
            incremental.partial_fit(rows)
            clock.stop("incremental")
            yield rows
            clock.stop("exact")

    found = exact(*covariance(shared()), k)
    clock.stop("exact")
    return clock, found, incremental


def peak(samples: int, k: int) -> int:
    """Bytes allocated at most by the exact estimator, chunks included."""
    tracemalloc.start()
    exact(*covariance(chunks(samples)), k)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=80, help="80 is the official number of components")
    asked = parser.parse_args()
    with threadpool_limits(1):
        clock, found, incremental = race(asked.samples, asked.k)
        memory = {samples: peak(samples, asked.k) for samples in (10_000, 100_000, asked.samples)}
    seconds = clock.seconds
    print(f"{asked.samples:,} codes of {WIDTH}, {asked.k} components, one thread (drawing: {seconds['drawing']:.1f} s)")
    print(f"exact {seconds['exact']:.1f} s, incremental {seconds['incremental']:.1f} s CPU")
    print(f"ratio {seconds['incremental'] / seconds['exact']:.1f} (aim 10)")
    cosines = np.abs((found.rows * incremental.components_).sum(1))
    print(f"|cosine| of components between the two: first {cosines[0]:.6f}, least {cosines.min():.3f}")
    for samples, most in memory.items():
        print(f"peak memory of exact at {samples:>9,} samples: {most / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
