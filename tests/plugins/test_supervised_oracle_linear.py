"""The reference `oracle-linear` against planted directions, scikit-learn, and covariances in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_supervised.labels import Target, targets
from gdbench_supervised.oracle_linear import Fitted, boundary, conditioned, discover, fit, regression
from gdbench_supervised.params import OracleLinearParams
from gdbench_supervised.whitening import filled, whitening, without
from gdbench_toy.domain import load as load_toy_domain
from gdbench_toy.generator import load as load_toy
from torch import Tensor

from gdbench import Codes, Context, Factor, NoParams, PluginError, Stream, normal

CPU = torch.device("cpu")


class Log:
    """A reporter that keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Log]:
        yield self

    def advance(self, steps: int = 1, **numbers: float) -> None: ...

    def log(self, text: str) -> None:
        self.lines.append(text)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return normal(Stream(seed, "test").at(), *shape).double()


def on_toy(k: int, **params: Any) -> tuple[Tensor, str]:
    """Vectors (k, 64) found on the toy, and the log."""
    log = Log()
    context = Context(seed=0, device=CPU, k=k, space="z", domain=load_toy_domain(CPU), reporter=log)
    found = discover(load_toy(None, NoParams(), CPU), OracleLinearParams(samples=1_500, **params), context)
    return found.vectors.double(), " ".join(log.lines)


def planted() -> Tensor:
    return load_toy(None, NoParams(), CPU).planted.double()


@pytest.mark.parametrize("params", [{}, {"conditional": True}, {"estimator": "svm", "share": 0.2}])
def test_planted_directions_of_toy_are_recovered(params: dict[str, Any]) -> None:
    vectors, log = on_toy(8, **params)
    basis = torch.linalg.qr(vectors.T).Q
    angle = math.degrees(math.acos(min(1.0, float(torch.linalg.svdvals(planted() @ basis).min()))))
    assert angle < (25 if "estimator" in params else 3)
    cosines = (vectors @ planted().T).abs()
    assert sorted(cosines.argmax(1).tolist()) == list(range(8))  # one row for each planted direction
    assert "8 of 8 directions are supervised" in log


def test_too_few_factors_are_filled_with_random_orthogonal_rows_and_said() -> None:
    vectors, log = on_toy(13)
    assert "8 of 13 directions are supervised" in log
    assert "the other 5 are random" in log
    assert (vectors[8:] @ vectors[:8].T).abs().max() < 1e-5
    torch.testing.assert_close(vectors[8:] @ vectors[8:].T, torch.eye(5).double(), atol=1e-5, rtol=0)


def test_the_best_explained_come_first() -> None:
    _, log = on_toy(8)
    explained = [
        float(part.rpartition("(")[2].rstrip(")")) for part in log.partition(": ")[2].split(": ")[1].split(", ")
    ]
    assert explained == sorted(explained, reverse=True)
    assert explained[0] > 0.99 > 0.98 > explained[7]  # hue and phase follow the code by a sine


def test_regression_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LinearRegression

    points = drawn(300, 5) + 2
    values = points @ torch.tensor([1.0, -2, 0, 0.5, 0]).double() + drawn(300, seed=1)
    gradient, explained = regression(points, values)
    fitted = LinearRegression().fit(points.numpy(), values.numpy())
    np.testing.assert_allclose(gradient.numpy(), fitted.coef_, rtol=1e-8)
    expected = 1 - (1 - fitted.score(points.numpy(), values.numpy())) * 299 / 294
    assert explained == pytest.approx(expected, rel=1e-9)
    assert abs(regression(points, drawn(300, seed=2))[1]) < 0.05  # no R² of chance


@dataclass
class Correlated:
    """w = z B' of dimension 4 and an image of one pixel, whose value is g'w."""

    b: Tensor = field(default_factory=lambda: drawn(4, 4, seed=5).float())
    g: Tensor = field(default_factory=lambda: torch.tensor([1.0, 2.0, 0.0, -1.0]))
    spaces: tuple[str, ...] = ("w", "z")
    image_shape: tuple[int, int, int] = (1, 1, 1)
    domain: str = "none"
    device: torch.device = CPU

    def dim(self, space: str) -> int:
        return 4

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        latents = normal(rng, n, 4)
        return Codes(latents if space == "z" else latents @ self.b.T, space)

    def render(self, codes: Codes) -> Tensor:
        return (codes.latents @ self.g / 100)[:, None, None, None]


@dataclass(frozen=True)
class Pixel:
    """A domain whose one factor is the pixel."""

    name: str = "pixel"
    distance: str = "none"
    factors: tuple[Factor, ...] = (Factor("value"),)

    def oracle(self, which: str) -> Pixel:
        assert which == "a", "labels are oracle A's"
        return self

    def read(self, images: Tensor) -> dict[str, Tensor]:
        return {"value": images.flatten(1).mean(1)}


def test_outside_z_it_moves_along_the_covariance_of_code_and_factor() -> None:
    generator = Correlated()
    context: Any = Context(seed=0, device=CPU, k=1, space="w", domain=Pixel())  # type: ignore[arg-type]
    found = discover(generator, OracleLinearParams(samples=2_000), context)
    covariance = generator.b @ generator.b.T @ generator.g
    expected = covariance / covariance.norm()
    assert float((found.vectors[0] @ expected).abs()) > 0.999
    assert float((expected @ generator.g / generator.g.norm()).abs()) < 0.9  # the gradient is another direction


def test_a_flat_prior_is_whitened_on_what_varies() -> None:
    generator = Correlated(b=torch.cat([drawn(3, 4, seed=5).float(), torch.zeros(1, 4)]))
    space = whitening(generator, "w")
    points = space.coordinates(generator.sample(20_000, "w", Stream(1, "codes").at()).latents)
    values = torch.linalg.eigvalsh(torch.cov(points.T))
    torch.testing.assert_close(values, torch.ones(3).double(), atol=0.1, rtol=0)


FACTORS = (
    Factor("size"),
    Factor("shape", "class"),
    Factor("hue", "circular"),
    Factor("presence"),
    Factor("texture", "linear", ("presence", 0.3)),
    Factor("phase", "circular", ("texture", 0.2)),
    Factor("lit", "class"),
)
READINGS = {
    "size": torch.tensor([1.0, 2, 3]),
    "shape": torch.tensor([[0.2, 0.3, 0.5]]).repeat(3, 1),
    "hue": torch.tensor([0.0, 0.25, 0.5]),
    "presence": torch.tensor([0.1, 0.9, 0.9]),
    "texture": torch.tensor([0.9, 0.1, 0.9]),
    "phase": torch.tensor([0.0, 0.0, 0.75]),
    "lit": torch.tensor([[0.4, 0.6]]).repeat(3, 1),
}


def test_targets_of_every_kind_of_factor() -> None:
    found = {target.name: target for target in targets(FACTORS, READINGS)}
    assert list(found) == [
        *("size", "shape 0", "shape 1", "shape 2", "hue sine", "hue cosine"),
        *("presence", "texture", "phase sine", "phase cosine", "lit 0"),
    ]
    torch.testing.assert_close(found["hue sine"].values, torch.tensor([0.0, 1, 0]).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(found["hue cosine"].values, torch.tensor([1.0, 0, -1]).double(), atol=1e-12, rtol=0)
    assert found["shape 2"].values.tolist() == pytest.approx([0.5] * 3)
    assert found["texture"].seen.tolist() == [False, True, True]
    assert found["phase sine"].seen.tolist() == [False, False, True]  # hidden with texture, and with what hides that
    assert found["size"].seen.all()


def test_only_visible_images_are_fitted_and_what_cannot_be_fitted_is_left_out() -> None:
    points = drawn(200, 3)
    seen = points[:, 1] > 0
    values = torch.where(seen, points[:, 0], 100 * points[:, 2])
    everywhere = torch.ones(200, dtype=torch.bool)
    wanted = [
        Target("hidden half", "hidden half", values, seen),
        Target("constant", "constant", torch.ones(200).double(), everywhere),
        Target("chance", "chance", drawn(200, seed=9).abs(), everywhere),
        Target("rare", "rare", values, torch.arange(200) < 6),
    ]
    found = fit(wanted, points, OracleLinearParams())
    assert [each.target.name for each in found] == ["hidden half"]
    torch.testing.assert_close(found[0].row, torch.eye(3)[0].double(), atol=1e-9, rtol=0)


def test_the_classifier_finds_the_normal_of_the_extremes() -> None:
    points = drawn(3_000, 6)
    normal_vector = torch.nn.functional.normalize(drawn(6, seed=3), dim=0)
    values = (points @ normal_vector).exp() + 0.1 * drawn(3_000, seed=4)
    row = boundary(points, values, 0.02)
    assert float(torch.nn.functional.cosine_similarity(row, normal_vector, dim=0)) > 0.9
    shuffled = values[torch.from_numpy(np.random.default_rng(0).permutation(3_000))]
    row = boundary(points, shuffled, 0.02)
    assert float(torch.nn.functional.cosine_similarity(row, normal_vector, dim=0).abs()) < 0.7


def test_conditional_rows_leave_the_other_factors_alone() -> None:
    everywhere, values = torch.ones(1, dtype=torch.bool), torch.zeros(1).double()
    rows = torch.nn.functional.normalize(drawn(4, 6), dim=1)
    names = ["a", "b", "b", "c"]
    found = [
        Fitted(Target(f"{i}", name, values, everywhere), row, 1.0)
        for i, (name, row) in enumerate(zip(names, rows, strict=True))
    ]
    kept = conditioned(found)
    shared = kept @ rows.T
    for i, mine in enumerate(names):
        for j, other in enumerate(names):
            assert (abs(float(shared[i, j])) < 1e-9) == (mine != other)
    torch.testing.assert_close(kept.norm(dim=1), torch.ones(4).double())
    twice = [found[0], Fitted(Target("copy", "c", values, everywhere), rows[0], 1.0)]
    with pytest.raises(PluginError, match="nothing of 0 is left"):
        conditioned(twice)


def test_filling() -> None:
    rows = drawn(3, 5)
    rows[2] = rows[0] - rows[1]  # of rank 2, so there is room for 3 more
    full = filled(rows, 6, np.random.default_rng(0))
    torch.testing.assert_close(full[:3], rows)
    assert torch.linalg.matrix_rank(full) == 5
    assert (full[3:] @ rows.T).abs().max() < 1e-9
    assert torch.equal(filled(rows, 2, np.random.default_rng(0)), rows[:2])
    with pytest.raises(PluginError, match="K = 7 directions"):
        filled(rows, 7, np.random.default_rng(0))
    assert without(rows, rows).abs().max() < 1e-9


def test_no_factors_and_no_varying_factor_are_said() -> None:
    @dataclass(frozen=True)
    class Constant(Pixel):
        def read(self, images: Tensor) -> dict[str, Tensor]:
            return {"value": torch.ones(len(images))}

    with pytest.raises(PluginError, match="no factors"):
        discover(Correlated(), OracleLinearParams(samples=50), Context(seed=0, device=CPU, k=1, space="z"))
    context: Any = Context(seed=0, device=CPU, k=1, space="z", domain=Constant())  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="no factor that varies"):
        discover(Correlated(), OracleLinearParams(samples=50), context)
