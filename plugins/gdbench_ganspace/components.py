"""Principal components of samples that come in batches, in memory that does not grow with their number; ICA of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdbench import PluginError

Array = NDArray[np.float64]
WIDEST = 8_192
"""The covariance of wider samples takes more than half a gigabyte."""

SMALLEST = 1e-6
"""Of the largest deviation: what varies less does so by rounding."""

ITERATIONS = 500
"""Of FastICA, at most."""


class Components(NamedTuple):
    """mean (width,); rows (k, width) of unit length, largest variance first; deviation (k,) along each row."""

    mean: Array
    rows: Array
    deviation: Array


def covariance(batches: Iterable[Array]) -> tuple[Array, Array]:
    """Mean (width,) and covariance (width, width) of rows (n, width), n - 1 in the denominator, exact to float64.

    Raises PluginError where the rows are too wide for it.
    """
    count, pivot, total, outer = 0, np.zeros(0), np.zeros(0), np.zeros((0, 0))
    for rows in batches:
        if count == 0:  # differences from a nearby point lose no digits to a large mean
            pivot, total, outer = rows.mean(0), np.zeros(rows.shape[1]), _square(rows.shape[1])
        centred = rows - pivot
        count += len(rows)
        total += centred.sum(0)
        outer += centred.T @ centred
    mean = total / count
    return pivot + mean, (outer - count * np.outer(mean, mean)) / (count - 1)


def exact(mean: Array, matrix: Array, k: int) -> Components:
    """The first ``k`` components of a covariance matrix; raises PluginError where they do not exist."""
    from scipy.linalg import eigh

    width = len(matrix)
    if k > width:
        raise PluginError(f"ganspace: {k} components were asked for, of samples {width} wide")
    values, vectors = eigh(matrix, subset_by_index=(width - k, width - 1))
    rows, deviation = np.flipud(vectors.T).copy(), np.sqrt(np.flip(values).clip(0))
    return _varying(Components(mean, rows, deviation))


def incremental(batches: Iterable[Array], k: int) -> Components:
    """The first ``k`` components by scikit-learn's IncrementalPCA (Ross et al. 2008), as in the official code."""
    from sklearn.decomposition import IncrementalPCA

    pca = IncrementalPCA(k)
    for rows in batches:
        if k > min(rows.shape) and not hasattr(pca, "components_"):
            raise PluginError(f"ganspace: {k} components were asked for, of {len(rows)} samples {rows.shape[1]} wide")
        pca.partial_fit(rows)
    return _varying(Components(pca.mean_, pca.components_, np.sqrt(pca.explained_variance_)))


def independent(whitened: Array, start: Array) -> Array:
    """The independent sources of whitened coordinates (n, k): row j (k, k) is one deviation of source j in them.

    FastICA (Hyvärinen 1999; logcosh, all sources at once) from the matrix ``start`` (k, k), so that equal samples and
    starts give equal sources. Raises PluginError where it does not converge: Gaussian samples have no sources.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    ica = FastICA(whiten=False, w_init=start, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(whitened)
    if ica.n_iter_ >= ITERATIONS:
        raise PluginError(
            f"ganspace: no {len(start)} independent sources after {ITERATIONS} iterations: "
            "Gaussian samples have none; take fewer directions, another space or estimator=exact"
        )
    turned: Array = ica.mixing_.T  # a rotation: coordinates are white to the last digits
    return turned


def _square(width: int) -> Array:
    if width > WIDEST:
        raise PluginError(f"ganspace: samples {width} wide: take estimator=incremental, or a smaller layer")
    return np.zeros((width, width))


def _varying(components: Components) -> Components:
    deviation = components.deviation
    alive = int((deviation > SMALLEST * deviation.max()).sum())
    if alive < len(deviation):
        raise PluginError(f"ganspace: {len(deviation)} components were asked for, only {alive} vary")
    return components
