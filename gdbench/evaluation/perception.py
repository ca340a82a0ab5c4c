"""The perceptual distance of a domain: how different two images look to its oracle A.

It has the form of LPIPS (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
eq. 1) over the feature maps of the oracle. Layers and channels weigh alike, unless the oracle has learned weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gdbench.protocols import ChannelWeights, Oracle, OwnFeatures


@dataclass(frozen=True)
class Embedded:
    """Images as points: the squared Euclidean distance between two rows of ``maps`` is the perceptual distance."""

    maps: Tensor
    """(n, m): the feature maps of each image, normalised, scaled and laid out in a row; m is the sum of c*h*w over
    layers."""
    pooled: Tensor
    """(n, d): one feature vector for each image, from the same network; see ``image_features``."""


def flatten(maps: Sequence[Tensor], weights: Sequence[Tensor] | None = None) -> Tensor:
    """Feature maps, one (n, c, h, w) for each layer, as rows (n, m) whose squared distance is the LPIPS form.

    At each position the c channels are scaled to a unit vector; a layer then weighs 1 / (h*w), so that its positions
    are averaged. weights: the learned weights of LPIPS, one (c,) >= 0 for each layer; without them, layers are
    averaged.
    """
    flat = []
    for number, layer in enumerate(maps):
        unit = layer / layer.square().sum(1, keepdim=True).sqrt().clamp_min(1e-10)
        positions = layer.shape[2] * layer.shape[3]
        if weights is None:
            flat.append((unit * (positions * len(maps)) ** -0.5).flatten(1))
        else:
            flat.append((unit * (weights[number] / positions).sqrt()[:, None, None]).flatten(1))
    return torch.cat(flat, 1)


def fitted(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Images (n, c, h, w) in the ``shape`` (channels, height, width) that a network reads; unchanged where they fit.

    They are resized bilinearly with antialiasing. Colours are averaged to grey, and grey is repeated as colours.
    Gradients flow through.
    """
    channels, *side = shape
    if images.shape[1] != channels:
        images = images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
    if list(images.shape[2:]) == side:
        return images
    return interpolate(images, tuple(side), mode="bilinear", align_corners=False, antialias=True)


def embed(oracle: Oracle, images: Tensor) -> Embedded:
    """Images (n, c, h, w), clamped to [-1, 1], as points in which squared distance is perceptual distance."""
    maps, pooled = oracle.embed(images.clamp(-1, 1))
    return Embedded(flatten(maps, oracle.channel_weights if isinstance(oracle, ChannelWeights) else None), pooled)


def image_features(oracle: Oracle, images: Tensor) -> Tensor:
    """Feature vectors (n, d) of images (n, c, h, w) in [-1, 1], for metrics that compare sets of images, as KID does.

    They come from a network of their own where the oracle has ``features``, else from the one that it embeds with.
    """
    return oracle.features(images) if isinstance(oracle, OwnFeatures) else oracle.embed(images)[1]


def distance(a: Embedded, b: Embedded) -> Tensor:
    """The perceptual distance (n,) >= 0 of pairs of images: the i-th of ``a`` and the i-th of ``b``.

    It is the squared difference of normalised channels, averaged over positions and layers.
    """
    return (a.maps - b.maps).square().sum(1)
