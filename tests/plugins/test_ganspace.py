"""GANSpace against scikit-learn's PCA and numpy's least squares on the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from gdbench_ganspace.components import covariance, exact
from gdbench_ganspace.discover import _explained, discover
from gdbench_ganspace.params import GanspaceParams
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from gdbench import Codes, PluginError, load_generator
from gdbench.context import SILENT
from gdbench.runs.counting import Counted
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
    with pytest.raises(PluginError, match="layer=wide is for space z; in w"):
        discover(GENERATOR, GanspaceParams(layer="wide"), context(1, "w"))
    with pytest.raises(PluginError, match="components were asked for"):
        discover(GENERATOR, SMALL, context(DIM + 1, "w"))
    with pytest.raises(PluginError, match="batch must be above K = 5"):
        discover(GENERATOR, GanspaceParams(samples=1_000, batch=5), context(5))


@pytest.mark.parametrize("family", ["sngan", "biggan"])
def test_the_first_layer_with_enough_components_is_taken(family: str) -> None:
    """BigGAN's first layer sees 20 dimensions of the latent: the next one is taken, and nothing else changes."""
    generator = load_generator(family)
    found = discover(generator, GanspaceParams(samples=300, batch=300), context(32))
    assert len(found) == 32
    layer = generator.feature_layers[family == "biggan"]
    named = discover(generator, GanspaceParams(samples=300, batch=300, layer=layer), context(32))
    assert torch.equal(found.vectors, named.vectors)


class Even(Convnet):
    """Two strong features are even functions of z: a linear regression cannot explain them."""

    feature_layers = ("only",)

    def features(self, codes: Codes, layer: str) -> torch.Tensor:
        return torch.cat([5 * codes.latents[:, :2].square(), codes.latents @ torch.diag(torch.linspace(1, 2, DIM))], 1)


def test_components_that_z_does_not_explain_are_counted() -> None:
    said: list[str] = []
    reporter = Mock(wraps=SILENT, log=said.append)
    discover(Even(), SMALL, context(4, reporter=reporter))
    discover(GENERATOR, SMALL, context(4, reporter=reporter))
    (line,) = said
    assert line.startswith("ganspace: z hardly explains 2 of the 4 components of layer only ")


def test_fewer_samples_than_dimensions_are_enough_for_components() -> None:
    assert len(discover(GENERATOR, GanspaceParams(samples=DIM - 2, batch=DIM - 2), context(3))) == 3


def test_explained_is_the_adjusted_r2_of_a_regression() -> None:
    z = np.random.default_rng(0).standard_normal((60, 5))
    y = z[:, 0] + np.random.default_rng(1).standard_normal(60)
    y = (y - y.mean()) / y.std(ddof=1)
    joint = np.cov(np.column_stack([y, z]), rowvar=False)
    score = LinearRegression().fit(z, y).score(z, y)
    expected = 1 - (1 - score) * 59 / 54
    np.testing.assert_allclose(_explained(joint[:1, 1:], joint[1:, 1:], 60), [expected], rtol=1e-10)


# the cost


class Narrow(Convnet):
    """Its first layer sees two latents."""

    def features(self, codes: Codes, layer: str) -> torch.Tensor:
        return codes.latents[:, :2] if layer == "first" else super().features(codes, layer)


@pytest.mark.parametrize(
    ("generator", "estimator", "images"),
    [
        (Convnet, "exact", 1_000),
        (Convnet, "incremental", 2_000),
        (Narrow, "exact", 1_000 + 300),
        (Narrow, "incremental", 2_000 + 300),
    ],
)
def test_in_z_a_sample_is_an_image_and_a_layer_passed_over_a_batch(generator: Any, estimator: Any, images: int) -> None:
    counted: Any = Counted(generator())
    discover(counted, GanspaceParams(samples=1_000, batch=300, estimator=estimator), context(5))
    assert (counted.images, counted.backward) == (images, 0)


# independent components


class Mixed(Convnet):
    """Its w is a mixture, not orthogonal, of independent uniform sources of falling width."""

    columns = np.random.default_rng(7).standard_normal((DIM, DIM)) * np.linspace(2, 0.5, DIM)

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(torch.from_numpy(rng.uniform(-1, 1, (n, DIM)) @ self.columns.T).float() + 1.0, space)

    def features(self, codes: Codes, layer: str) -> torch.Tensor:
        return codes.latents @ torch.diag(torch.linspace(1, 2, DIM))


def _unit_columns() -> tuple[np.ndarray, np.ndarray]:
    length = np.linalg.norm(Mixed.columns, axis=0)
    order = np.argsort(-length)
    return (Mixed.columns / length).T[order], length[order] / np.sqrt(3)


def test_ica_finds_the_columns_of_the_mixture_widest_first_and_pca_does_not() -> None:
    columns, deviation = _unit_columns()
    params = GanspaceParams(samples=20_000, batch=5_000, estimator="ica")
    found = discover(Mixed(), params, context(DIM, "w"))
    assert found.unit is not None
    np.testing.assert_allclose(np.abs((found.vectors.double().numpy() * columns).sum(1)), 1, atol=2e-3)
    np.testing.assert_allclose(found.unit.numpy(), deviation, rtol=0.03)
    pca = discover(Mixed(), GanspaceParams(samples=20_000, batch=5_000), context(DIM, "w"))
    components = pca.vectors.double().numpy()
    assert np.abs(components @ columns.T).max(1).min() < 0.8


def test_ica_in_z_carries_the_sources_of_features_back() -> None:
    columns, _ = _unit_columns()
    found = discover(Mixed(), GanspaceParams(samples=20_000, batch=5_000, estimator="ica"), context(DIM))
    cosines = np.abs(found.vectors.double().numpy() @ columns.T)
    assert cosines.max(1).min() > 0.99
    assert sorted(cosines.argmax(1)) == list(range(DIM))


def test_ica_looks_twice_in_z_and_nothing_is_rendered_in_w() -> None:
    params = [GanspaceParams(samples=4_000, batch=2_000, estimator=name) for name in ("ica", "exact", "incremental")]
    twice: Any = Counted(Mixed())
    discover(twice, params[0], context(DIM))
    assert (twice.images, twice.backward) == (8_000, 0)
    never: Any = Counted(Mixed())
    for each in params:
        discover(never, each, context(DIM, "w"))
    assert (never.images, never.backward) == (0, 0)


def test_ica_gives_equal_directions_for_equal_seeds_and_the_same_sources_for_others() -> None:
    params = GanspaceParams(samples=8_000, batch=4_000, estimator="ica")
    first, again, other = (discover(Mixed(), params, context(DIM, "w", seed)).vectors for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert (first @ other.T).abs().max(1).values.min() > 0.99


def test_what_ica_and_layers_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbench_ganspace.components.ITERATIONS", 3)
    with pytest.raises(PluginError, match="no 12 independent sources after 3"):
        discover(Mixed(), GanspaceParams(samples=1_000, batch=500, estimator="ica"), context(DIM, "w"))
    with pytest.raises(PluginError, match="take space w"):
        discover(GENERATOR, SMALL, context(2, "w+"))
