"""The renderer against closed forms, the standard library's colours, PIL's polygons and its own finer resolution."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest
from gdbench_scenes import render as scenes
from gdbench_scenes.render import SHAPES, SceneFactors, render, sample_factors
from PIL import Image, ImageDraw

AREA = {
    "disc": np.pi,
    "ring": np.pi * (1 - scenes.RING_HOLE**2),
    "triangle": 3 * 3**0.5 / 4,
    "plus": 8 * scenes.PLUS_ARM * scenes.PLUS_HALF_WIDTH - 4 * scenes.PLUS_HALF_WIDTH**2,
}


def sampled(n: int, seed: int = 0, **fixed: float) -> SceneFactors:
    """Random scenes with some factors set to one value."""
    factors = sample_factors(n, np.random.default_rng(seed))
    values = {name: np.full(n, value, getattr(factors, name).dtype) for name, value in fixed.items()}
    return dataclasses.replace(factors, **values)


def pooled(images: np.ndarray) -> np.ndarray:
    *lead, height, width = images.shape
    return images.reshape(*lead, height // 2, 2, width // 2, 2).mean((-3, -1))


@pytest.mark.parametrize("label", range(len(SHAPES)), ids=SHAPES)
@pytest.mark.parametrize("resolution", [32, 64])
def test_area_of_the_mask_is_the_closed_form_wherever_the_object_lies(label: int, resolution: int) -> None:
    factors = sampled(64, shape=label)
    area = render(factors, resolution)[1].astype(np.float64).sum((1, 2)) * (2 / resolution) ** 2
    expected = AREA[SHAPES[label]] * factors.scale.astype(np.float64) ** 2
    np.testing.assert_allclose(area, expected, rtol=0.02 if resolution == 32 else 0.008)
    assert np.mean(area / expected) == pytest.approx(1, abs=0.006)


def test_triangle_and_plus_are_the_polygons_that_pil_draws() -> None:
    arm, half = scenes.PLUS_ARM, scenes.PLUS_HALF_WIDTH
    quarter = [(half, -half), (arm, -half), (arm, half), (half, half)]
    corners = {
        "triangle": [np.exp(1j * (np.pi / 2 + 2 * np.pi * k / 3)) * -1 for k in range(3)],
        "plus": [complex(*point) * 1j**turn for turn in range(4) for point in quarter],
    }
    for shape, points in corners.items():
        factors = sampled(16, shape=SHAPES.index(shape))
        masks = render(factors)[1]
        for i, mask in enumerate(masks):
            turned = np.array(points) * np.exp(1j * factors.rotation[i]) * factors.scale[i]
            at = turned + factors.x[i] + 1j * factors.y[i]
            difference = np.abs(mask - polygon(at, 32, 16))
            assert difference.mean() < 0.005  # 0.0075 for a triangle that is 3 % too large
            assert difference.max() < 0.4  # at a corner the distance is that of one edge only


def polygon(corners: np.ndarray, resolution: int, finer: int) -> np.ndarray:
    """Coverage (resolution, resolution) of a polygon with complex corners in scene coordinates, by supersampling."""
    size = resolution * finer
    picture = Image.new("L", (size, size))
    pixels = [((c.real + 1) / 2 * size - 0.5, (c.imag + 1) / 2 * size - 0.5) for c in corners]
    ImageDraw.Draw(picture).polygon(pixels, fill=255)
    return np.asarray(picture, np.float64).reshape(resolution, finer, resolution, finer).mean((1, 3)) / 255


def test_no_object_touches_the_border() -> None:
    masks = render(sampled(4000))[1]
    border = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], 1)
    assert border.max() < 0.69  # an outline at .98 covers that much of the outermost pixel
    assert masks.max((1, 2)).min() == 1


def test_background_of_presence_zero_is_plain_white() -> None:
    images, masks = render(sampled(200, presence=0))
    outside = np.broadcast_to((masks == 0)[:, None], images.shape)
    assert (images[outside] == 1).all()


def test_background_is_the_formula_in_double_precision() -> None:
    factors = sampled(20)
    images, masks = render(factors)
    centres = (np.arange(32) + 0.5) / 16 - 1
    along = (centres[:, None] + centres[None, :]) / np.sqrt(2)
    for i in range(20):
        wave = np.cos(2 * np.pi * (along / scenes.STRIPE_PERIOD + factors.phase[i].astype(float)))
        colour = colorsys.hsv_to_rgb(
            float(factors.background_hue[i]), scenes.BACKGROUND_SATURATION, scenes.BACKGROUND_VALUE
        )
        stripes = np.array(colour)[:, None, None] * (1 + scenes.STRIPES * float(factors.texture[i]) * wave)
        expected = 2 * (1 - float(factors.presence[i]) * (1 - stripes)) - 1
        outside = masks[i] == 0
        np.testing.assert_allclose(images[i][:, outside], expected[:, outside], atol=2e-5)


def test_hues_are_circular_and_those_of_the_colour_wheel() -> None:
    hues = np.linspace(0, 1, 25, dtype=np.float32)
    expected = [colorsys.hsv_to_rgb(float(hue), 0.85, 0.7) for hue in hues]
    np.testing.assert_allclose(scenes.hsv(hues, 0.85, 0.7), expected, atol=1e-6)
    for hue in ("object_hue", "background_hue"):
        start, end, near = (render(sampled(20, **{hue: value}))[0] for value in (0.0, 1.0, 0.98))
        np.testing.assert_allclose(start, end, atol=1e-5)
        assert 0 < np.abs(start - near).max() < 0.2


def test_light_from_the_right_brightens_the_right_side() -> None:
    factors = sampled(50, light=1, x=0, rotation=0, shape=SHAPES.index("disc"))
    images, masks = render(factors)
    brightness = (images.mean(1) + 1) * (masks == 1)
    left, right = brightness[:, :, 8:16].sum((1, 2)), brightness[:, :, 16:24].sum((1, 2))
    assert (right > 1.2 * left).all()


def test_images_stay_in_range_and_types() -> None:
    images, masks = render(sampled(2000))
    assert images.dtype == masks.dtype == np.float32
    assert -1 <= images.min() < -0.8
    assert images.max() <= 1
    assert masks.min() == 0
    assert masks.max() == 1


def test_the_same_generator_draws_the_same_scenes_and_another_others() -> None:
    first, again, other = (render(sample_factors(300, np.random.default_rng(seed)))[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_scene_looks_the_same_alone_and_in_a_batch() -> None:
    factors = sampled(150)
    images, masks = render(factors)
    for i in (0, 70, 149):
        image, mask = render(factors.take(np.array([i])))
        np.testing.assert_allclose(image[0], images[i], atol=1e-6)
        np.testing.assert_allclose(mask[0], masks[i], atol=1e-6)


def test_finer_renders_averaged_are_the_coarse_renders() -> None:
    factors = sampled(200)
    coarse, fine = render(factors, 32), render(factors, 64)
    assert np.abs(pooled(fine[0]) - coarse[0]).mean() < 0.003
    difference = np.abs(pooled(fine[1]) - coarse[1])
    assert difference.mean() < 0.002
    assert difference[factors.shape < 2].max() < 0.1  # disc and ring have no corners


def test_factors_are_spread_as_documented() -> None:
    factors = sample_factors(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(np.bincount(factors.shape) / 20_000, 0.25, atol=0.015)
    assert np.mean(factors.presence == 0) == pytest.approx(1 / 7, abs=0.01)
    assert np.mean(factors.presence == 1) == pytest.approx(1 / 7, abs=0.01)
    assert scenes.SCALE[0] <= factors.scale.min()
    assert factors.scale.max() <= scenes.SCALE[1]
    for hue in (factors.object_hue, factors.background_hue, factors.phase):
        assert hue.min() >= 0
        assert np.histogram(hue, 4, (0, 1))[0].min() > 4800
