"""SeFa against a singular value decomposition and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_sefa.discover import discover, factorise
from scipy.linalg import eigh

from gdbench import Codes, NoParams, PluginError, UsageError
from tests.plugins.methods_generators import DIM, Convnet, context


class Linear(Convnet):
    """A generator that shows the affine weights it is given."""

    def __init__(self, *weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights

    def modulation_weights(self, space: str) -> dict[str, torch.Tensor]:
        return {f"layer{i}": weight for i, weight in enumerate(self.weights)}


def _weights(outputs: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((outputs, DIM), dtype=np.float32))


def test_directions_are_the_right_singular_vectors_of_the_stacked_unit_rows() -> None:
    weights = [_weights(30, 0), 100 * _weights(7, 1)]  # the scale of a unit must not matter
    stacked = np.concatenate([weight.double().numpy() for weight in weights])
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    expected = np.linalg.svd(stacked)[2][:5]
    found = discover(Linear(*weights), NoParams(), context(5)).vectors.double().numpy()
    np.testing.assert_allclose(np.abs((found * expected).sum(1)), 1, atol=1e-6)


def test_eigenvalues_fall_and_each_direction_is_the_best_of_what_is_left() -> None:
    """Of the rows without what the directions before it explain, none gains more than the largest singular value."""
    rows = torch.nn.functional.normalize(_weights(40, 2).double(), dim=1)
    found = factorise([rows])
    gains = (rows @ found.T).square().sum(0)
    assert (gains.diff() <= 1e-12).all()
    left = rows.numpy()
    for direction, gain in zip(found.numpy(), gains.tolist(), strict=True):
        assert gain == pytest.approx(np.linalg.norm(left, 2) ** 2, abs=1e-9)
        left = left - left @ np.outer(direction, direction)
    assert np.abs(left).max() < 1e-9


class Plane(Convnet):
    """A generator linear in its code: images are A z, and A has rows of one length."""

    image_shape = (3, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.weight = 1.7 * torch.nn.functional.normalize(_weights(3 * 4 * 4, 8).double(), dim=1)

    def render(self, codes: Codes) -> torch.Tensor:
        return (codes.latents @ self.weight.T).view(-1, *self.image_shape)

    def modulation_weights(self, space: str) -> dict[str, torch.Tensor]:
        return {"all": self.weight}


def test_on_a_linear_generator_images_change_by_the_eigenvalues() -> None:
    """The closed form: n_k are the eigenvectors of A'A, and |G(z + n_k) - G(z)|² is lambda_k at every z."""
    generator = Plane()
    values, vectors = eigh((generator.weight.T @ generator.weight).numpy())
    found = discover(generator, NoParams(), context(DIM)).vectors.double()
    expected = vectors[:, ::-1].T
    np.testing.assert_allclose(np.abs((found.numpy() * expected).sum(1)), 1, atol=1e-6)
    codes = Codes(_weights(DIM, 9).double(), "z")
    change = generator.render(codes.shifted(found)) - generator.render(codes)
    np.testing.assert_allclose(change.square().sum((1, 2, 3)).numpy(), values[::-1], rtol=1e-5)


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
    with pytest.raises(UsageError, match="K = 13"):
        discover(Linear(_weights(20, 7)), NoParams(), context(DIM + 1))
