"""GANSpace against scikit-learn's PCA and numpy's least squares on the same samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from gdbench_ganspace.components import covariance, exact
from gdbench_ganspace.discover import discover
from gdbench_ganspace.params import GanspaceParams
from sklearn.decomposition import PCA

from gdbench import Codes, PluginError
from tests.plugins.methods_generators import DIM, Blank, Convnet, context

GENERATOR = Convnet()
SMALL = GanspaceParams(samples=1_000, batch=300)


def _samples(space: str, seed: int = 0) -> torch.Tensor:
    stream = context(seed=seed).stream("discover")
    return torch.cat([GENERATOR.sample(n, space, stream.at(i)).latents for i, n in enumerate((300, 300, 300, 100))])


def test_components_of_w_equal_scikit_learn_up_to_sign() -> None:
    found = discover(GENERATOR, SMALL, context(6, "w"))
    pca = PCA(6, svd_solver="full").fit(_samples("w").double().numpy())
    cosines = (found.vectors.double().numpy() * pca.components_).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
    np.testing.assert_allclose(found.unit.numpy(), np.sqrt(pca.explained_variance_), rtol=1e-5)


def test_incremental_components_of_w_are_close_to_the_exact_ones() -> None:
    params = GanspaceParams(samples=1_000, batch=300, estimator="incremental")
    found, exactly = (discover(GENERATOR, p, context(3, "w")) for p in (params, SMALL))
    assert (found.vectors * exactly.vectors).sum(1).abs().min() > 0.99


@pytest.mark.parametrize(("estimator", "tolerance"), [("exact", 1e-6), ("incremental", 0.05)])
def test_directions_in_z_equal_the_regression_on_whitened_coordinates(estimator: str, tolerance: float) -> None:
    params = GanspaceParams(samples=1_000, batch=300, layer="wide", estimator=estimator)  # type: ignore[arg-type]
    found = discover(GENERATOR, params, context(5))
    z = _samples("z")
    features = GENERATOR.features(Codes(z, "z"), "wide").double().numpy()
    pca = PCA(5, whiten=True, svd_solver="full").fit(features)
    coordinates = np.column_stack([pca.transform(features), np.ones(len(z))])
    paths = np.linalg.lstsq(coordinates, z.double().numpy(), rcond=None)[0][:5]
    paths /= np.linalg.norm(paths, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs((found.vectors.double().numpy() * paths).sum(1)), 1, atol=tolerance)
    np.testing.assert_allclose(found.unit.numpy(), (z.double().numpy() @ paths.T).std(0, ddof=1), rtol=0.02)


def test_the_covariance_keeps_its_digits_beside_a_large_mean() -> None:
    rows = np.random.default_rng(0).standard_normal((900, 5)) + 1e7

    def batches() -> Iterator[np.ndarray]:
        yield from np.array_split(rows, 7)

    mean, matrix = covariance(batches())
    np.testing.assert_allclose(matrix, np.cov(rows - 1e7, rowvar=False), atol=1e-6)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-12)


def test_what_does_not_vary_is_no_component() -> None:
    flat = np.diag([2.0, 1.0, 0.0])
    assert len(exact(np.zeros(3), flat, 2).rows) == 2
    with pytest.raises(PluginError, match="only 2 vary"):
        exact(np.zeros(3), flat, 3)
    with pytest.raises(PluginError, match="3 wide"):
        exact(np.zeros(3), flat, 4)


def test_z_needs_features_and_names_the_layers() -> None:
    with pytest.raises(PluginError, match="features"):
        discover(Blank(), SMALL, context(1))  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="known: first, wide"):
        discover(GENERATOR, GanspaceParams(layer="second"), context(1))
    with pytest.raises(PluginError, match="components were asked for"):
        discover(GENERATOR, SMALL, context(DIM + 1, "w"))
