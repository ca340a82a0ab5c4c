"""The perceptual distance of a domain: LPIPS form over feature maps of oracle A (Zhang et al. 2018, eq. 1, w = 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gdbench.protocols import ChannelWeights, Oracle, OwnFeatures


@dataclass(frozen=True)
class Embedded:
    """Unit-normalised, flattened feature maps of images, scaled so that a plain squared distance is the LPIPS form.

    maps: (n, m) with m = sum over layers of c*h*w. pooled: (n, d), the maps' own features; see `image_features`.
    """

    maps: Tensor
    pooled: Tensor


def flatten(maps: Sequence[Tensor], weights: Sequence[Tensor] | None = None) -> Tensor:
    """Feature maps [(n, c, h, w)] -> (n, m): unit channels, each layer divided by its positions.

    weights: one (c,) >= 0 for each layer, LPIPS' learned ones; the mean over layers where there are none.
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
    """Images (n, c, h, w) in the ``shape`` (channels, height, width) that a network reads; the same where they fit.

    Resized bilinearly with antialiasing; colours are averaged to grey, grey is repeated. Gradients flow through.
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
    """Features (n, d) of images (n, c, h, w) in [-1, 1], for KID, precision and diversity.

    They are those that the oracle embeds with, or those of a network of their own where it has ``features``.
    """
    return oracle.features(images) if isinstance(oracle, OwnFeatures) else oracle.embed(images)[1]


def distance(a: Embedded, b: Embedded) -> Tensor:
    """Perceptual distance (n,) of image pairs: mean over layers and positions of the squared channel difference."""
    return (a.maps - b.maps).square().sum(1)
