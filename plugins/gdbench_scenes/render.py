"""The scenes: one object on a striped background, drawn from known factors with an exact soft mask.

Coordinates run from -1 to 1 over the frame, x to the right and y downwards; a pixel is 2 / resolution wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SHAPES = ("disc", "ring", "triangle", "plus")
POSITION = 0.3  # half width of the range of x and y; POSITION + SCALE[1] < 1 keeps every object inside the frame
SCALE = (0.46, 0.68)  # radius of the smallest circle around the object
ROTATION = 0.6  # below pi / 4, so that a plus has no second reading
RING_HOLE = 0.5  # radius of the hole, in units of scale
PLUS_ARM, PLUS_HALF_WIDTH = 0.93, 0.36  # the corners of the arms lie on the circle of radius scale
DARK_HALF = 0.5  # how much darker the lower half of an object is: the cue of rotation, also on disc and ring
LIGHT = 0.45
OBJECT_SATURATION, OBJECT_VALUE = 0.85, 0.68
BACKGROUND_SATURATION, BACKGROUND_VALUE, STRIPES = 0.35, 0.82, 0.2
STRIPE_PERIOD = 4 / 3
CHUNK = 64  # images drawn at once: the working set of a chunk at 32 px stays in the second-level cache


@dataclass(frozen=True)
class SceneFactors:
    """The factors of n scenes, one array of shape (n,) each.

    `shape` indexes `SHAPES`; `rotation` is in radians, clockwise; hues and `phase` are circular in [0, 1);
    `light` is in [-1, 1] (1: lit from the right); `texture` and `presence` are in [0, 1].
    """

    shape: NDArray[np.int64]
    x: Array
    y: Array
    scale: Array
    rotation: Array
    object_hue: Array
    light: Array
    background_hue: Array
    texture: Array
    phase: Array
    presence: Array

    def __len__(self) -> int:
        return len(self.shape)

    def take(self, index: NDArray[np.int64]) -> SceneFactors:
        """The scenes at these positions."""
        return SceneFactors(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def sample_factors(n: int, rng: np.random.Generator) -> SceneFactors:
    """Draw n independent scenes; a seventh has a plain white background, a seventh a fully present one."""

    def uniform(low: float, high: float) -> Array:
        return rng.uniform(low, high, n).astype(np.float32)

    return SceneFactors(
        shape=rng.integers(len(SHAPES), size=n),
        x=uniform(-POSITION, POSITION),
        y=uniform(-POSITION, POSITION),
        scale=uniform(*SCALE),
        rotation=uniform(-ROTATION, ROTATION),
        object_hue=uniform(0, 1),
        light=uniform(-1, 1),
        background_hue=uniform(0, 1),
        texture=uniform(0, 1),
        phase=uniform(0, 1),
        presence=np.clip(uniform(-0.2, 1.2), 0, 1),
    )


def render(factors: SceneFactors, resolution: int = 32) -> tuple[Array, Array]:
    """Draw scenes: images (n, 3, resolution, resolution) in [-1, 1] and object masks (n, resolution, resolution).

    Both are anti-aliased by the signed distance to the outline; the mask is the exact share in [0, 1] with which
    the object was blended over its background.
    """
    images = np.empty((len(factors), 3, resolution, resolution), np.float32)
    masks = np.empty((len(factors), resolution, resolution), np.float32)
    for shape, index in _chunks(factors):
        images[index], masks[index] = _draw(factors.take(index), shape, resolution)
    return images, masks


def hsv(hue: Array, saturation: float, value: float) -> Array:
    """Colours (n, 3) in [0, 1] of hues (n,), taken modulo 1 (Smith 1978)."""
    distance = np.abs((hue[:, None] * 6 + np.array([3, 1, 5], np.float32)) % 6 - 3)
    return np.asarray(value * (1 - saturation * (1 - np.clip(2 - distance, 0, 1))), np.float32)


def _chunks(factors: SceneFactors) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Positions of at most CHUNK scenes that share a shape, so that each chunk has one outline formula."""
    for label, shape in enumerate(SHAPES):
        positions = np.flatnonzero(factors.shape == label)
        for start in range(0, len(positions), CHUNK):
            yield shape, positions[start : start + CHUNK]


def _draw(factors: SceneFactors, shape: str, resolution: int) -> tuple[Array, Array]:
    frame, stripes = _grid(resolution)
    dx = frame[None, :] - factors.x[:, None]
    dy = frame[None, :] - factors.y[:, None]
    u, v = _rotated(dx, dy, factors.rotation)
    size = factors.scale[:, None, None]
    per_pixel = resolution / 2
    mask = np.clip(0.5 - _distance(shape, u, v, size) * per_pixel, 0, 1)
    shade = 1 - DARK_HALF * np.clip(0.5 + v * per_pixel, 0, 1)
    shade *= (1 + LIGHT * factors.light[:, None] * dx / factors.scale[:, None])[:, None, :]
    shade *= mask
    ground = (1 - mask).reshape(len(factors), -1)
    ground_wave = ground * _waves(factors, stripes)
    return _blend(factors, mask, shade, ground, ground_wave), mask


def _blend(factors: SceneFactors, mask: Array, shade: Array, ground: Array, ground_wave: Array) -> Array:
    """Object over background; a background of presence p is p parts of its colour and 1 - p parts of white."""
    paint = 2 * hsv(factors.object_hue, OBJECT_SATURATION, OBJECT_VALUE)
    pastel = hsv(factors.background_hue, BACKGROUND_SATURATION, BACKGROUND_VALUE)
    plain = 2 * (1 - factors.presence[:, None] * (1 - pastel))
    striped = 2 * factors.presence[:, None] * pastel
    image = np.empty((len(factors), 3, *mask.shape[1:]), np.float32)
    for channel in range(3):
        layer = image[:, channel].reshape(len(factors), -1)
        np.multiply(ground, plain[:, channel, None], out=layer)
        layer += ground_wave * striped[:, channel, None]
        layer += shade.reshape(layer.shape) * paint[:, channel, None]
        layer -= 1
    return image


def _waves(factors: SceneFactors, stripes: Array) -> Array:
    """Diagonal stripes (n, pixels): a cosine of any phase is a sum of the two fixed pictures in `stripes`."""
    angle = 2 * np.pi * factors.phase
    weights = STRIPES * factors.texture[:, None] * np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    return np.asarray(weights.astype(np.float32) @ stripes)


def _rotated(dx: Array, dy: Array, rotation: Array) -> tuple[Array, Array]:
    """Coordinates (n, r, r) along the axes of objects turned by `rotation`."""
    cos, sin = np.cos(rotation)[:, None], np.sin(rotation)[:, None]
    u = (dx * cos)[:, None, :] + (dy * sin)[:, :, None]
    v = (dy * cos)[:, :, None] - (dx * sin)[:, None, :]
    return u, v


def _distance(shape: str, u: Array, v: Array, size: Array) -> Array:
    """Signed distance to the outline, negative inside (exact but for the outer side of corners)."""
    if shape in ("disc", "ring"):
        radius: Array = np.sqrt(u * u + v * v)
        middle, half = (1 + RING_HOLE) / 2, (1 - RING_HOLE) / 2
        return radius - size if shape == "disc" else np.abs(radius - middle * size) - half * size
    a, b = np.abs(u), np.abs(v)
    outline: Array
    if shape == "triangle":
        outline = np.maximum(v, np.float32(3**0.5 / 2) * a - 0.5 * v) - 0.5 * size
    else:
        outline = np.maximum(np.maximum(a, b) - PLUS_ARM * size, np.minimum(a, b) - PLUS_HALF_WIDTH * size)
    return outline


@cache
def _grid(resolution: int) -> tuple[Array, Array]:
    """Pixel centres (r,) and the cosine and sine of the stripes (2, r * r)."""
    frame = ((np.arange(resolution) + 0.5) * 2 / resolution - 1).astype(np.float32)
    along = (frame[:, None] + frame[None, :]).ravel() / 2**0.5
    angle = 2 * np.pi * along / STRIPE_PERIOD
    return frame, np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
