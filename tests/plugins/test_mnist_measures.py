"""The measures of a digit against drawn shapes whose values are known in closed form, and against scipy in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gdbench_mnist import files, reference
from gdbench_mnist.domain import to_images
from gdbench_mnist.measures import NAMES, distance_to_background, extent, measure
from gdbench_mnist.oracle import LEVELS
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

CENTRE = 15.7  # off the grid, so that no measure is right by symmetry
SUB = 16


def draw(inside: np.ndarray) -> Tensor:
    """An image (1, 1, 32, 32) of the share of each pixel that is inside, from SUB x SUB points a pixel."""
    share = inside.reshape(32, SUB, 32, SUB).mean((1, 3))
    return torch.from_numpy(share * 2 - 1)[None, None]


def plane() -> tuple[np.ndarray, np.ndarray]:
    """x and y of all points, in pixels from CENTRE."""
    place = (np.arange(32 * SUB) + 0.5) / SUB - 0.5 - CENTRE
    return place[None, :], place[:, None]


def bar(width: float, height: float, slant: float = 0) -> Tensor:
    """A parallelogram, sheared along the rows by `slant` degrees, its top to the right."""
    x, y = plane()
    return draw((np.abs(x + math.tan(math.radians(slant)) * y) <= width / 2) & (np.abs(y) <= height / 2))


def ring(radius: float, thickness: float) -> Tensor:
    x, y = plane()
    return draw(np.abs(np.hypot(x, y) - radius) <= thickness / 2)


def values(image: Tensor, which: str) -> dict[str, float]:
    """By an oracle's grey levels, or by the reference."""
    if which == "reference":
        return reference.measure(image[0, 0].float().numpy())
    return {name: float(value) for name, value in measure(image, LEVELS[which]).items()}  # type: ignore[index]


EACH = pytest.mark.parametrize("which", ["a", "b", "reference"])


@EACH
@pytest.mark.parametrize("slant", [-40, -15, 0, 10, 30])
def test_slant_width_height_and_area_of_sheared_bars(which: str, slant: float) -> None:
    found = values(bar(4, 19, slant), which)
    assert found["slant"] == pytest.approx(slant, abs=1)
    assert found["width"] == pytest.approx(0.98 * 4, abs=0.1 if which == "reference" else 0.5)
    assert found["height"] == pytest.approx(0.98 * 19, abs=0.4)
    assert found["area"] == pytest.approx(4 * 19, rel=0.04)


@EACH
@pytest.mark.parametrize("width", [2, 3, 4.5, 6])
def test_thickness_of_a_bar(which: str, width: float) -> None:
    """Mean distance to the edge of a rectangle w x h, w <= h, by the volume of a hip roof: w / 4 - w^2 / 12h."""
    assert values(bar(width, 20), which)["thickness"] == pytest.approx(width - width**2 / 60, abs=0.3)


@EACH
@pytest.mark.parametrize("thickness", [2, 3.5, 5])
def test_a_ring_is_as_thick_as_its_stroke(which: str, thickness: float) -> None:
    """The mean distance to the edges is exactly a quarter of the stroke, for the profile is even about its middle."""
    found = values(ring(8, thickness), which)
    assert found["thickness"] == pytest.approx(thickness, abs=0.25)
    assert found["area"] == pytest.approx(2 * math.pi * 8 * thickness, rel=0.04)
    assert found["slant"] == pytest.approx(0, abs=1)


def test_a_measure_responds_to_its_own_quantity_alone() -> None:
    plain, slanted = values(bar(3, 18), "a"), values(bar(3, 18, 25), "a")
    assert slanted["slant"] - plain["slant"] == pytest.approx(25, abs=1)
    for name, tolerance in {"width": 0.5, "height": 0.2, "area": 1}.items():
        assert slanted[name] == pytest.approx(plain[name], abs=tolerance)


def test_extent_leaves_out_one_percent_at_each_side() -> None:
    counts = torch.zeros(2, 30, dtype=torch.float64)
    counts[0, 5:15] = 3.0
    counts[1, 10] = 1.0
    assert extent(counts).tolist() == pytest.approx([9.8, 0.98])


def test_the_distance_to_the_background_is_exact_up_to_its_reach() -> None:
    ink = torch.from_numpy(np.random.default_rng(0).random((4, 20, 24)) < 0.9)
    ink[3, 2:18, 2:22] = True
    exact = torch.from_numpy(np.stack([distance_transform_edt(each) for each in ink.numpy()]))
    assert torch.allclose(distance_to_background(ink, 30, torch.float64), exact)
    assert torch.allclose(distance_to_background(ink, 4, torch.float64), exact.clamp(max=4))


@pytest.mark.parametrize("which", ["a", "b"])
def test_digits_are_measured_as_by_the_reference(which: str) -> None:
    images = to_images(files.held_out()[0][:200])
    found = measure(images, LEVELS[which])  # type: ignore[index]
    exact = [reference.measure(image) for image in images[:, 0].numpy()]
    for name in NAMES:
        true = np.array([each[name] for each in exact])
        assert 1 - np.square(found[name].numpy() - true).mean() / true.var() > 0.95, name


def test_single_and_double_precision_agree() -> None:
    images = to_images(files.held_out()[0][:20]) + 1e-3  # bytes interpolate to exact half grey, which rounding decides
    single, double = measure(images), measure(images.double())
    for name in NAMES:
        torch.testing.assert_close(single[name].double(), double[name], rtol=1e-5, atol=1e-3)


def test_an_image_is_measured_alike_in_every_batch() -> None:
    images = to_images(files.held_out()[0][:6])
    whole, alone = measure(images), measure(images[2:3])
    for name in NAMES:
        torch.testing.assert_close(whole[name][2:3], alone[name])


@pytest.mark.parametrize("which", ["a", "b"])
def test_blur_noise_and_a_grey_background_change_little(which: str) -> None:
    clean = bar(4, 18, 15)
    blurred = torch.from_numpy(gaussian_filter(clean.numpy(), (0, 0, 0.7, 0.7)))
    dirty = clean + 0.1 * torch.from_numpy(np.random.default_rng(0).standard_normal(clean.shape)) + 0.1
    for image in (blurred, dirty):
        before, after = values(clean, which), values(image, which)
        assert after["slant"] == pytest.approx(before["slant"], abs=1)
        for name in ("thickness", "width", "height", "area"):
            assert after[name] == pytest.approx(before[name], rel=0.12), name


@pytest.mark.parametrize("level", [-1.0, 1.0, -3.0, 3.0])
def test_blank_and_full_images_have_finite_measures(level: float) -> None:
    found = measure(torch.full((2, 1, 32, 32), level))
    assert all(bool(torch.isfinite(value).all()) for value in found.values())
    assert float(found["area"][0]) == (1024 if level > 0 else 0)
    if level < 0:
        assert all(float(value.abs().max()) == 0 for value in found.values())
        assert set(reference.measure(np.full((32, 32), level, np.float32)).values()) == {0.0}
