"""SeFa against a singular value decomposition and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_sefa.discover import discover, factorise

from gdbench import NoParams, PluginError
from tests.plugins.methods_generators import DIM, Convnet, context


class Linear(Convnet):
    """A generator that shows the affine weights it is given."""

    def __init__(self, *weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights

    def modulation_weights(self, space: str) -> dict[str, torch.Tensor]:
        return {f"layer{i}": weight for i, weight in enumerate(self.weights)}


def _weights(units: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((units, DIM), dtype=np.float32))


def test_directions_are_the_right_singular_vectors_of_the_stacked_unit_rows() -> None:
    weights = [_weights(30, 0), 100 * _weights(7, 1)]  # the scale of a unit must not matter
    stacked = np.concatenate([weight.double().numpy() for weight in weights])
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    expected = np.linalg.svd(stacked)[2][:5]
    found = discover(Linear(*weights), NoParams(), context(5)).vectors.double().numpy()
    np.testing.assert_allclose(np.abs((found * expected).sum(1)), 1, atol=1e-6)


def test_eigenvalues_fall_and_each_direction_is_the_best_of_what_is_left() -> None:
    rows = torch.nn.functional.normalize(_weights(40, 2).double(), dim=1)
    gains = (rows @ factorise([rows]).T).square().sum(0)
    assert (gains.diff() <= 1e-12).all()
    trials = torch.nn.functional.normalize(_weights(2_000, 3).double(), dim=1)
    assert (rows @ trials.T).square().sum(0).max() <= gains[0] + 1e-9


def test_blocks_that_see_different_slices_give_directions_within_one_slice() -> None:
    first, second = _weights(20, 4), _weights(20, 5)
    first[:, 6:], second[:, :6] = 0, 0  # the slots of a hierarchical z
    vectors = discover(Linear(first, second), NoParams(), context(DIM)).vectors
    share = vectors[:, :6].square().sum(1)
    assert ((share < 1e-6) | (share > 1 - 1e-6)).all()


def test_a_unit_without_weights_does_no_harm() -> None:
    weights = _weights(20, 6)
    padded = torch.cat([weights, torch.zeros(3, DIM)])
    torch.testing.assert_close(factorise([weights]), factorise([padded]))


def test_nothing_to_factorise_is_refused() -> None:
    with pytest.raises(PluginError, match="no affine weights"):
        discover(Linear(), NoParams(), context(2))
    with pytest.raises(PluginError, match="K = 13"):
        discover(Linear(_weights(20, 7)), NoParams(), context(DIM + 1))
