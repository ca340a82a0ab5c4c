"""Measures of saliency maps against masks, equal to pysodmetrics (normalize=False).

Vectorised over images, but for the distance transform of ``weighted_f``, which takes them one by one.

predictions: (n, h, w) in [0, 1]; truths: (n, h, w) bool. Binary measures cut at > 0.5. Curves have 256 thresholds, of
which entry i takes the pixels whose floor(255 p) is at least 255 - i. A ratio 0 / 0 is 0. docs/saliency.md lists what
follows from that for empty and full masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, distance_transform_edt
from torch import Tensor

from gdbench import block_values

Array = NDArray[np.float64]
Truths = NDArray[np.bool_]

BETA2 = 0.3  # beta squared of F, as everywhere in the saliency literature (Achanta et al. 2009)
EPS = float(np.spacing(1))
LEVELS = 256


@dataclass(frozen=True)
class PerImage:
    """The measures of n images, (n,) each; f_curve (n, 256) is F at every threshold."""

    f_half: Array
    f_curve: Array
    weighted_f: Array
    iou: Array
    accuracy: Array
    mae: Array
    s: Array
    e: Array

    def __len__(self) -> int:
        return len(self.iou)


@dataclass(frozen=True)
class Counts:
    """Pixels called object, and of these the right ones, at each threshold (n, t); object and all pixels (n, 1)."""

    called: Array
    right: Array
    object: Array
    pixels: int


def measure(predictions: NDArray[np.floating], truths: Truths) -> PerImage:
    """All measures of each image. Raises ValueError for other shapes, types or ranges, and for NaN."""
    predictions = validated(predictions, truths)
    half, curve = counts_at_half(predictions, truths), counts_at_all(predictions, truths)
    return PerImage(
        f_half=f_measure(half)[:, 0],
        f_curve=f_measure(curve),
        weighted_f=weighted_f(predictions, truths),
        iou=iou(half)[:, 0],
        accuracy=accuracy(half)[:, 0],
        mae=np.abs(predictions - truths).mean((1, 2)),
        s=s_measure(predictions, truths),
        e=e_measure(curve).mean(1),
    )


def joined(parts: list[PerImage]) -> PerImage:
    """The measures of several groups of images as one."""
    return PerImage(*(np.concatenate([getattr(part, name) for part in parts]) for name in PerImage.__annotations__))


def summary(images: PerImage) -> dict[str, float]:
    """The columns: means over images, and the largest value of the mean F curve."""
    equal = np.full((1, len(images)), 1 / len(images))
    return {name: float(values[0]) for name, values in _means(images, equal).items()}


def blocks(images: PerImage) -> dict[str, list[float]]:
    """What each block of the test images says of the columns."""

    def of_part(kept: Tensor) -> dict[str, float]:
        weights = kept.double().numpy()[None] / int(kept.sum())
        return {name: float(values[0]) for name, values in _means(images, weights).items()}

    return block_values(of_part, len(images))


def intervals(
    images: PerImage, rng: np.random.Generator, resamples: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of the columns, over images (Efron and Tibshirani 1993, chapter 13)."""
    n = len(images)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    ends = (50 * (1 - level), 50 * (1 + level))
    found = {name: np.percentile(values, ends) for name, values in _means(images, weights).items()}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def validated(predictions: NDArray[np.floating], truths: Truths) -> Array:
    """The predictions in float64. Raises ValueError unless they are maps in [0, 1] that fit boolean truths."""
    if predictions.shape != truths.shape or predictions.ndim != 3 or truths.dtype != bool:
        found = f"{predictions.shape} and {truths.dtype} {truths.shape}"
        raise ValueError(f"expected predictions and boolean truths (n, h, w), got {found}")
    values = predictions.astype(np.float64)
    if not ((values >= 0) & (values <= 1)).all():  # false for NaN
        raise ValueError("predictions must lie in [0, 1]")
    return values


def counts_at_half(predictions: Array, truths: Truths) -> Counts:
    """Counts (n, 1) at the one threshold > 0.5."""
    called = predictions > 0.5
    return _counts(_total(called)[:, None], _total(called & truths)[:, None], truths)


def counts_at_all(predictions: Array, truths: Truths) -> Counts:
    """Counts (n, 256) at >= 255, >= 254, ..., >= 0 of the predictions in whole 255ths, rounded down."""
    n = len(predictions)
    level = (predictions * 255).astype(np.int64).reshape(n, -1)
    cell = (2 * np.arange(n)[:, None] + truths.reshape(n, -1)) * LEVELS + level
    histogram = np.bincount(cell.ravel(), minlength=2 * n * LEVELS).reshape(n, 2, LEVELS)
    above = histogram[:, :, ::-1].cumsum(2)
    return _counts(above.sum(1), above[:, 1], truths)


def f_measure(counts: Counts, beta2: float = BETA2) -> Array:
    """(1 + beta²) P R / (beta² P + R) at each threshold; 0 where P or R is 0 or has no pixels to count."""
    precision, recall = _ratio(counts.right, counts.called), _ratio(counts.right, counts.object)
    return _ratio((1 + beta2) * precision * recall, beta2 * precision + recall)


def iou(counts: Counts) -> Array:
    """Intersection over union; 0 where both are empty."""
    return _ratio(counts.right, counts.called + counts.object - counts.right)


def accuracy(counts: Counts) -> Array:
    """Share of pixels that are called what they are."""
    wrong = counts.called + counts.object - 2 * counts.right
    return np.asarray(1 - wrong / counts.pixels)


def e_measure(counts: Counts) -> Array:
    """Enhanced alignment (Fan et al. 2018, eqs. 2-5) at each threshold, divided by pixels - 1 as in its code.

    For an empty truth the share of pixels called background, for a full one that called object.
    """
    pixels, object_ = counts.pixels, counts.object
    true_mean, called_mean = object_ / pixels, counts.called / pixels
    cells = (
        (counts.right, 1 - called_mean, 1 - true_mean),
        (counts.called - counts.right, 1 - called_mean, -true_mean),
        (object_ - counts.right, -called_mean, 1 - true_mean),
        (pixels - counts.called - object_ + counts.right, -called_mean, -true_mean),
    )
    total = sum(n * (1 + 2 * a * b / (a * a + b * b + EPS)) ** 2 / 4 for n, a, b in cells)
    total = np.where(object_ == 0, pixels - counts.called, np.where(object_ == pixels, counts.called, total))
    return np.asarray(total / (pixels - 1 + EPS))


def s_measure(predictions: Array, truths: Truths, alpha: float = 0.5) -> Array:
    """Structure measure (Fan et al. 2017): alpha of the object score, 1 - alpha of the region score, never below 0.

    1 - mean prediction for an empty truth, mean prediction for a full one.
    """
    mean = predictions.mean((1, 2))
    area = truths.mean((1, 2))
    both = alpha * _object_score(predictions, truths) + (1 - alpha) * _region_score(predictions, truths)
    return np.where(area == 0, 1 - mean, np.where(area == 1, mean, np.maximum(0, both)))


def weighted_f(predictions: Array, truths: Truths) -> Array:
    """Weighted F with beta² = 1 (Margolin et al. 2014): errors spread inside, and weighted by distance outside.

    0 for an empty truth.
    """
    errors = np.abs(predictions - truths)
    distance, spread = np.zeros_like(errors), errors.copy()
    for i in np.flatnonzero(truths.any((1, 2))):
        outside = ~truths[i]
        distance[i], nearest = distance_transform_edt(outside, return_indices=True)
        spread[i][outside] = errors[i][nearest[0][outside], nearest[1][outside]]
    smooth = convolve(spread, _gaussian(7, 5.0)[None], mode="constant")
    least = np.where(truths & (smooth < errors), smooth, errors)
    weighted = least * np.where(truths, 1.0, 2 - 0.5 ** (distance / 5))
    inside, outside_ = (weighted * truths).sum((1, 2)), (weighted * ~truths).sum((1, 2))
    object_ = _total(truths)
    right = object_ - inside
    recall = 1 - _ratio(inside, object_)
    precision = right / (right + outside_ + EPS)
    found = 2 * recall * precision / (recall + precision + EPS)
    return np.where(object_ == 0, 0.0, found)


def _means(images: PerImage, weights: Array) -> Mapping[str, Array]:
    """The columns (r,) under weights (r, n) of the images that sum to one."""
    return {
        "F_half": weights @ images.f_half,
        "max_F": (weights @ images.f_curve).max(1),
        "weighted_F": weights @ images.weighted_f,
        "IoU": weights @ images.iou,
        "accuracy": weights @ images.accuracy,
        "MAE": weights @ images.mae,
        "S": weights @ images.s,
        "E": weights @ images.e,
    }


def _counts(called: NDArray[np.int64], right: NDArray[np.int64], truths: Truths) -> Counts:
    return Counts(
        called.astype(np.float64), right.astype(np.float64), _total(truths)[:, None].astype(np.float64), truths[0].size
    )


def _total(masks: Truths) -> NDArray[np.int64]:
    return np.asarray(masks.sum((1, 2), dtype=np.int64))


def _ratio(a: NDArray[np.number], b: NDArray[np.number]) -> Array:
    """a / b, 0 where b is 0."""
    return np.asarray(np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b != 0))


def _object_score(predictions: Array, truths: Truths) -> Array:
    area = truths.mean((1, 2))
    return np.asarray(area * _likeness(predictions, truths) + (1 - area) * _likeness(1 - predictions, ~truths))


def _likeness(values: Array, where: Truths) -> Array:
    """2 x / (x² + 1 + s) of mean x and sample deviation s of the values in a region (n,)."""
    n = _total(where)
    mean = _ratio((values * where).sum((1, 2)), n)
    square = (((values - mean[:, None, None]) * where) ** 2).sum((1, 2))
    deviation = np.sqrt(_ratio(square, np.maximum(n - 1, 1)))
    return np.asarray(2 * mean / (mean**2 + 1 + deviation + EPS))


def _region_score(predictions: Array, truths: Truths) -> Array:
    """Similarity in the four parts cut at the truth's centroid, weighted by their area."""
    down, right = _cut(truths, 2), _cut(truths, 1)
    top = np.arange(truths.shape[1]) < down[:, None]
    left = np.arange(truths.shape[2]) < right[:, None]
    score = np.zeros(len(truths))
    for rows in (top, ~top):
        for columns in (left, ~left):
            part = rows[:, :, None] & columns[:, None, :]
            score += part.mean((1, 2)) * _similarity(predictions, truths, part)
    return score


def _cut(truths: Truths, across: int) -> NDArray[np.int64]:
    """The first row (or column) behind the centroid, whose rounded position counts from 1 as in Matlab (n,)."""
    profile = truths.sum(across)
    at = _ratio((profile * np.arange(profile.shape[1])).sum(1), profile.sum(1))
    return np.asarray(at.round().astype(np.int64) + 1)


def _similarity(predictions: Array, truths: Truths, part: Truths) -> Array:
    """4 x y s_xy / ((x² + y²)(s_x² + s_y²)) in a part (n,): 1 where both terms vanish, 0 where only the first does."""
    n = _total(part)
    x, y = _ratio((predictions * part).sum((1, 2)), n), _ratio((truths & part).sum((1, 2)), n)
    dx, dy = (predictions - x[:, None, None]) * part, (truths - y[:, None, None]) * part
    freedom = n - 1 + EPS
    a = 4 * x * y * _ratio((dx * dy).sum((1, 2)), freedom)
    b = (x**2 + y**2) * _ratio((dx**2).sum((1, 2)) + (dy**2).sum((1, 2)), freedom)
    return np.where(a != 0, a / (b + EPS), np.where(b == 0, 1.0, 0.0))


def _gaussian(size: int, sigma: float) -> Array:
    """Matlab's fspecial('gaussian', size, sigma): (size, size), of sum 1."""
    axis = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * sigma**2))
    return np.asarray(kernel / kernel.sum())
