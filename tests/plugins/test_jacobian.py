"""The method `jacobian` against finite differences, exact Jacobians by reverse mode, and planted directions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_jacobian.discover import discover, metric, products
from gdbench_jacobian.params import JacobianParams
from gdbench_toy.generator import load as load_toy
from torch import Tensor

from gdbench import Codes, Context, NoParams, PluginError, Stream, UsageError, normal
from tests.plugins.methods_generators import Convnet

CPU = torch.device("cpu")
DIM = 6


@dataclass
class Small:
    """A float64 generator of 1 x 8 x 8 images: w = z B', then a perceptron with one hidden layer of 20."""

    linear: bool = False
    spaces: tuple[str, ...] = ("z", "w")
    image_shape: tuple[int, int, int] = (1, 8, 8)
    domain: str = "none"
    device: torch.device = CPU
    feature_layers: tuple[str, ...] = ("first", "hidden", "last")
    rendered: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = Stream(1, "small").at()
        self.b = torch.diag(torch.linspace(0.3, 2.0, DIM).double()) @ normal(rng, DIM, DIM).double()
        self.first = normal(rng, 20, DIM).double()
        self.last = normal(rng, 64, 20).double() / 20**0.5

    def dim(self, space: str) -> int:
        return DIM

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        codes = Codes(normal(rng, n, DIM).double(), "z")
        return codes if space == "z" else self.map(codes)

    def map(self, codes: Codes) -> Codes:
        return Codes(codes.latents @ self.b.T + 0.5, "w")

    def render(self, codes: Codes) -> Tensor:
        self.rendered.append(len(codes))
        return (self.features(codes, "hidden") @ self.last.T).reshape(-1, 1, 8, 8)

    def features(self, codes: Codes, layer: str) -> Tensor:
        latents = self.map(codes).latents if codes.space == "z" else codes.latents
        hidden = latents @ self.first.T
        return hidden if self.linear or layer == "first" else hidden.tanh()


def context(k: int, space: str = "z", seed: int = 0) -> Context:
    return Context(seed=seed, device=CPU, k=k, space=space)


def found(generator: Any, k: int, space: str = "z", seed: int = 0, **params: Any) -> Tensor:
    return discover(generator, JacobianParams(**params), context(k, space, seed)).vectors.double()


def aligned(a: Tensor, b: Tensor) -> Tensor:
    """|cosine| of corresponding rows."""
    return (torch.nn.functional.normalize(a, dim=1) * torch.nn.functional.normalize(b, dim=1)).sum(1).abs()


def exact_jacobian(generator: Small, code: Codes) -> Tensor:
    """(pixels, DIM), by reverse mode."""
    return torch.autograd.functional.jacobian(
        lambda latents: generator.render(Codes(latents[None], code.space))[0].flatten(), code.latents[0]
    )


def test_products_are_central_finite_differences() -> None:
    generator = Small()
    codes = generator.sample(5, "z", Stream(0, "codes").at())
    tangents = normal(Stream(0, "tangents").at(), 5, DIM).double()
    step = 1e-5
    plus, minus = generator.render(codes.shifted(step * tangents)), generator.render(codes.shifted(-step * tangents))
    expected = ((plus - minus) / (2 * step)).flatten(1)
    measured = products(lambda codes: generator.render(codes).flatten(1), codes, tangents)
    torch.testing.assert_close(measured, expected, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 128])
def test_metric_is_the_gram_matrix_of_the_exact_jacobian(batch: int) -> None:
    generator = Small()
    code = generator.sample(1, "z", Stream(0, "codes").at())
    tangents = normal(Stream(0, "tangents").at(), DIM, DIM).double()
    jacobian = exact_jacobian(generator, code)
    measured = metric(lambda codes: generator.render(codes).flatten(1), code, tangents, batch)
    torch.testing.assert_close(measured, tangents @ jacobian.T @ jacobian @ tangents.T)


def test_at_the_centre_it_finds_the_right_singular_vectors() -> None:
    generator = Small()
    jacobian = exact_jacobian(generator, Codes(torch.zeros(1, DIM).double(), "z"))
    expected = torch.linalg.svd(jacobian).Vh
    measured = found(generator, DIM, at="centre", side=8)
    assert aligned(measured, expected).min() > 1 - 1e-6


def test_the_middle_layer_at_the_mapped_origin_is_deep_spectral() -> None:
    generator = Small()
    origin = generator.map(Codes(torch.zeros(1, DIM).double(), "z"))
    slope = 1 - generator.features(origin, "hidden")[0].square()
    expected = torch.linalg.svd(slope[:, None] * generator.first).Vh
    measured = found(generator, 4, "w", at="centre", layer="middle", whiten=False)
    assert aligned(measured, expected[:4]).min() > 1 - 1e-6


def test_average_over_codes_is_that_of_exact_jacobians() -> None:
    generator = Small()
    codes = generator.sample(7, "z", context(1).stream("discover").at())
    jacobians = [exact_jacobian(generator, code) for code in codes.chunks(1)]
    values, vectors = torch.linalg.eigh(sum(j.T @ j for j in jacobians))
    assert values.diff().min() > 1e-3  # else the eigenvectors are not unique
    assert aligned(found(generator, DIM, jvps=7 * DIM + 3, side=8), vectors.T.flip(0)).min() > 1 - 1e-6


def test_outside_z_it_differentiates_in_prior_deviations() -> None:
    generator = Small(linear=True)
    expected = torch.linalg.svd(generator.last @ generator.first @ generator.b).Vh @ generator.b.T
    assert aligned(found(generator, 3, "w", jvps=12, side=8), expected[:3]).min() > 0.999  # moments are sampled
    raw = torch.linalg.svd(generator.last @ generator.first).Vh
    assert aligned(found(generator, 3, "w", jvps=12, side=8, whiten=False), raw[:3]).min() > 1 - 1e-6
    assert aligned(expected[:3], raw[:3]).min() < 0.9  # the two differ here


def test_a_whitened_step_is_one_prior_deviation() -> None:
    generator = Small(linear=True)
    directions = discover(generator, JacobianParams(jvps=12, side=8), context(3, "w"))
    assert directions.unit is not None
    steps = directions.vectors.double() * directions.unit.double()[:, None]
    deviations = torch.linalg.solve(generator.b, steps.T).norm(dim=0)
    torch.testing.assert_close(deviations, torch.ones(3).double(), atol=0.03, rtol=0)


def test_each_product_renders_one_image() -> None:
    generator = Small()
    found(generator, 2, jvps=100, batch=4)
    assert sum(generator.rendered) == 16 * DIM  # 100 // 6 codes


def test_planted_directions_span_the_first_eight() -> None:
    toy = load_toy(None, NoParams(), CPU)
    measured = found(toy, 8, jvps=64 * 8)
    cosines = torch.linalg.svdvals(measured @ toy.planted.double().T)
    assert cosines.min() > 0.999
    others = torch.linalg.svdvals(torch.eye(64)[:8].double() @ toy.planted.double().T)
    assert others.min() < 0.5  # eight axes are far from it


def test_the_linear_layer_of_toy_gives_planted_directions_in_their_order() -> None:
    toy = load_toy(None, NoParams(), CPU)
    measured = found(toy, 8, jvps=64, layer="linear")
    assert aligned(measured, toy.planted.double()).min() > 1 - 1e-5


def test_codes_are_drawn_by_the_seed() -> None:
    generator = Small()
    assert torch.equal(found(generator, 3, jvps=30), found(generator, 3, jvps=30))
    assert not torch.equal(found(generator, 3, jvps=30), found(generator, 3, jvps=30, seed=1))


def test_what_cannot_be_found_is_said() -> None:
    with pytest.raises(UsageError, match="7 directions"):
        found(Small(), 7)
    with pytest.raises(PluginError, match="shows no layer 'block9'; it shows first, hidden, last"):
        found(Small(), 2, layer="block9")
    unmapped: Any = Convnet()
    with pytest.raises(PluginError, match="at=centre in w needs a generator that maps z there; take at=prior"):
        found(unmapped, 2, "w", at="centre")
    assert len(found(unmapped, 2, "w", jvps=12)) == 2
    with pytest.raises(ValueError, match="jvps"):
        JacobianParams(jvps=0)


def test_directions_survive_saving(tmp_path: Path) -> None:
    directions = discover(Small(), JacobianParams(jvps=12), context(3))
    directions.save(tmp_path)
    assert torch.equal(type(directions).load(tmp_path).vectors, directions.vectors)
