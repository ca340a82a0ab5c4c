"""Realism: KID and precision against closed forms and brute force; degraded images score worse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_metrics import METRICS
from gdbench_metrics.params import RealismParams
from gdbench_metrics.realism import measure
from torch import Tensor

from gdbench import Codes, UsageError, Void, kid, precision
from tests.plugins.metrics_subjects import DOMAIN, PLANTED, TOY, context, subject

FEW = RealismParams(images=96)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def normals(rng: np.random.Generator, n: int, mean: float = 0.0) -> Tensor:
    return torch.from_numpy(rng.normal(mean, 1, (n, 4)))


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    n = len(x)
    kernel = lambda a, b: (a @ b / len(a) + 1) ** 3  # noqa: E731
    within = sum(kernel(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j)
    across = sum(kernel(a, b) for a in x for b in y)
    return float(within / (n * (n - 1)) - 2 * across / n**2)


def test_kid_is_its_definition(rng: np.random.Generator) -> None:
    x, y = normals(rng, 12), normals(rng, 12, 0.5)
    assert kid(x, y)[0] == pytest.approx(brute_force(x.numpy(), y.numpy()))


def test_the_error_is_the_jackknifes(rng: np.random.Generator) -> None:
    x, y = normals(rng, 9).numpy(), normals(rng, 9, 0.5).numpy()
    left_out = np.array([brute_force(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(9)])
    expected = np.sqrt(8 / 9 * np.square(left_out - left_out.mean()).sum())
    assert kid(torch.from_numpy(x), torch.from_numpy(y))[1] == pytest.approx(expected)


def gaussian_mmd(mean: float, d: int = 4) -> float:
    """Squared MMD of N(0, I) and N(m, I), m = mean * ones, with (x.y / d + 1)^3, from moments of the inner product.

    E[(x.y)^p] of independent x ~ N(a, I), y ~ N(b, I): p = 1: a.b; p = 2: (a.b)^2 + |a|^2 + |b|^2 + d; p = 3: (a.b)^3
    + 3 (a.b) (|a|^2 + |b|^2 + d + 2).
    """

    def expected(ab: float, aa: float, bb: float) -> float:
        second = ab**2 + aa + bb + d
        third = ab**3 + 3 * ab * (aa + bb + d + 2)
        return third / d**3 + 3 * second / d**2 + 3 * ab / d + 1

    mm = mean**2 * d
    return expected(0, 0, 0) + expected(mm, mm, mm) - 2 * expected(0, 0, mm)


def test_kid_of_gaussians_is_unbiased(rng: np.random.Generator) -> None:
    for mean in (0.0, 0.6):
        found = [kid(normals(rng, 150), normals(rng, 150, mean)) for _ in range(60)]
        values, errors = (np.array(part) for part in zip(*found, strict=True))
        scatter = values.std(ddof=1)
        assert values.mean() == pytest.approx(gaussian_mmd(mean), abs=3.5 * scatter / np.sqrt(60))
        assert errors.mean() == pytest.approx(scatter, rel=0.5)


def test_kid_refuses_unequal_samples(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="equally many"):
        kid(normals(rng, 5), normals(rng, 6))


def test_precision_is_its_definition(rng: np.random.Generator) -> None:
    real, other = normals(rng, 30), normals(rng, 25, 1.0)
    apart = np.linalg.norm(real.numpy()[:, None] - real.numpy()[None], axis=-1)
    radius = np.sort(apart, 1)[:, 3]
    inside = [(np.linalg.norm(real.numpy() - point, axis=1) <= radius).any() for point in other.numpy()]
    assert precision(real, other) == pytest.approx(np.mean(inside))
    assert precision(real, real) == 1
    assert precision(real, other + 100) == 0


@dataclass(frozen=True)
class Noisy:
    """The toy, with noise on every image whose code is farther than usual from the origin, or along one direction."""

    strength: float
    along: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(TOY, name)

    def render(self, codes: Codes) -> Tensor:
        noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *TOY.image_shape))).float()
        far = codes.latents.norm(dim=1) > 8 if self.along is None else (codes.latents @ self.along).abs() > 3
        return TOY.render(codes) + self.strength * far.float()[:, None, None, None] * noise


def test_degraded_images_score_worse() -> None:
    clean = subject(PLANTED)
    found = [
        measure(replace(clean, generator=Noisy(strength), _kept={}), FEW, context(8)).values  # type: ignore[arg-type]
        for strength in (0.0, 0.3, 1.0)
    ]
    kids = [values["kid_30"] for values in found]
    assert kids[0] < kids[1] < kids[2]
    assert found[0]["precision_real_30"] > found[2]["precision_real_30"]


def test_a_larger_change_is_farther_from_the_unedited() -> None:
    values = measure(subject(PLANTED), FEW, context(8)).values
    assert values["kid_15"] < values["kid_45"]
    assert values["kid_30_se"] > 0


@dataclass(frozen=True)
class Held:
    """The toy's domain with ``n`` real images that come again, as a held-out set's do; none at all for 0."""

    n: int

    def __getattr__(self, name: str) -> Any:
        return getattr(DOMAIN, name)

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        if not self.n:
            raise UsageError("no images of its own")
        held = DOMAIN.images(self.n, np.random.default_rng(7))
        return held[np.concatenate([rng.permutation(self.n) for _ in range(-(-n // self.n))])[:n]]


def test_a_small_held_out_set_sets_the_size_of_all_samples() -> None:
    """40 images asked for 96 times are 40: the numbers are those of 40 in the same order."""
    few = replace(subject(PLANTED), domain=Held(40), _kept={})  # type: ignore[arg-type]
    asked = measure(few, FEW, context(8)).values
    assert asked == measure(few, RealismParams(images=40), context(8)).values


def test_without_real_images_what_needs_them_is_void() -> None:
    alone = replace(subject(PLANTED), domain=Held(0), _kept={})  # type: ignore[arg-type]
    values, usual = (measure(each, FEW, context(8)).values for each in (alone, subject(PLANTED)))
    assert {name for name, value in values.items() if isinstance(value, Void)} == {n for n in usual if "real" in n}
    apart = {name for name in usual if "real" not in name}
    assert {name: values[name] for name in apart} == {name: usual[name] for name in apart}


def test_every_kid_has_its_error_and_every_column_is_declared() -> None:
    values = measure(subject(PLANTED), FEW, context(8)).values
    (declared,) = (metric for metric in METRICS if metric.name == "realism")
    assert set(values) == {column.name for column in declared.columns}
    kids = [name for name in values if name.startswith("kid") and not name.endswith("_se")]
    assert len(kids) == 7
    assert all(values[f"{name}_se"] > 0 for name in kids)


def test_without_an_alive_direction_it_is_void_but_for_the_generators_own() -> None:
    values = measure(subject(torch.zeros(2, 64)), FEW, context(2)).values
    assert isinstance(values["kid_30"], Void)
    assert isinstance(values["kid_real_00"], float)


def test_the_table_says_along_which_direction_edits_leave_the_manifold() -> None:
    """Their mean is the column; the last of these directions is dead, and one of them leads into noise."""
    clean = subject(torch.cat([PLANTED[:7], torch.zeros(1, 64)]))
    noisy = replace(clean, generator=Noisy(1.0, PLANTED[6]), _kept={})  # type: ignore[arg-type]
    before, after = (measure(each, FEW, context(8)) for each in (clean, noisy))
    for found in (before, after):
        drawn, share = (np.array(found.directions[name]) for name in ("drawn", "precision_30"))
        assert drawn.sum() == FEW.images
        assert drawn[7] == 0
        assert np.isnan(share[7])
        assert drawn[:7] @ share[:7] / FEW.images == pytest.approx(found.values["precision_30"])
    lost = np.array(before.directions["precision_30"]) - np.array(after.directions["precision_30"])
    assert lost[6] > 0.3
    assert np.abs(lost[:6]).max() < 0.2


def test_precision_tells_dropped_modes_from_bad_samples() -> None:
    left = torch.arange(10.0)[:, None] / 10
    right, far = left + 100, left + 1000
    both = torch.cat([left, right])
    assert (precision(both, torch.cat([left, left])), precision(torch.cat([left, left]), both)) == (1.0, 0.5)
    assert precision(both, torch.cat([left, far])) == 0.5
