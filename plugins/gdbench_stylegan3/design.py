"""A new StyleGAN3: the cutoffs and rates of its layers, and its filters (Karras et al. 2021, section 3.2, appendix C).

Files hold both; only networks that are to be trained are designed here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gdbench_stylegan3.networks import Generator
from gdbench_stylegan3.shapes import MARGIN, TAPS, Config, LayerShape

LATENT = 512  # width of z and w in the published files
FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2**2.1
LAST_STOPBAND = 2**0.3  # as a multiple of the last cutoff
OVERSAMPLING = 2  # of the activation


@dataclass(frozen=True)
class Band:
    """What one layer gives: side and channels, samples per image width, and the edge and half width of its filters."""

    side: int
    channels: int
    rate: float
    cutoff: float
    half_width: float


@dataclass(frozen=True)
class Design:
    """What is chosen of a network; the defaults are those of config t at 1024 px.

    Config r has kernel 1, radial filters and twice the channels. layers: without the last, which makes the image.
    """

    resolution: int = 1024
    channel_base: int = 32768
    channel_max: int = 512
    kernel: int = 3
    radial: bool = False
    layers: int = 14
    critical: int = 2
    margin: int = MARGIN
    z_dim: int = LATENT
    w_dim: int = LATENT
    mapping_layers: int = 2
    label_dim: int = 0
    image_channels: int = 3
    conv_clamp: float | None = 256.0

    def bands(self) -> list[Band]:
        """One for each layer, from coarse to fine: cutoffs and stopbands grow geometrically up to the critical ones."""
        return [self._band(i) for i in range(self.layers + 1)]

    def _band(self, i: int) -> Band:
        share, nyquist = min(i / (self.layers - self.critical), 1), self.resolution / 2
        cutoff = FIRST_CUTOFF * (nyquist / FIRST_CUTOFF) ** share
        stop = FIRST_STOPBAND * (nyquist * LAST_STOPBAND / FIRST_STOPBAND) ** share
        rate = 2 ** math.ceil(math.log2(min(2 * stop, self.resolution)))
        last = i == self.layers
        return Band(
            side=self.resolution if i >= self.layers - 1 else rate + 2 * self.margin,
            channels=self.image_channels if last else round(min(self.channel_base / 2 / cutoff, self.channel_max)),
            rate=rate,
            cutoff=cutoff,
            half_width=max(stop, rate / 2) - cutoff,
        )

    def config(self) -> Config:
        """The shapes of this design."""
        bands = self.bands()
        shapes = [self._shape(i, bands[max(i - 1, 0)], bands[i]) for i in range(self.layers + 1)]
        return Config(
            layers=tuple(shapes),
            z_dim=self.z_dim,
            w_dim=self.w_dim,
            mapping_layers=self.mapping_layers,
            label_dim=self.label_dim,
            sampling_rate=bands[0].rate,
            bandwidth=FIRST_CUTOFF,
            conv_clamp=self.conv_clamp,
        )

    def _shape(self, i: int, before: Band, after: Band) -> LayerShape:
        rgb = i == self.layers
        inner = 1.0 if rgb else OVERSAMPLING * max(before.rate, after.rate)
        up, down = (1, 1) if rgb else (round(inner / before.rate), round(inner / after.rate))
        return LayerShape(
            name=f"L{i}_{after.side}_{after.channels}",
            inputs=before.channels,
            outputs=after.channels,
            before=before.side,
            after=after.side,
            kernel=1 if rgb else self.kernel,
            up=up,
            down=down,
            up_taps=TAPS * up if up > 1 else 1,
            down_taps=TAPS * down if down > 1 else 1,
            radial=self.radial and i < self.layers - self.critical,
            rgb=rgb,
        )

    def generator(self) -> Generator:
        """A new network with its filters."""
        network, bands = Generator(self.config()), self.bands()
        layers = list(network.synthesis.layers().values())
        for layer, (before, after) in zip(layers, pairwise([bands[0], *bands]), strict=True):
            rate = OVERSAMPLING * max(before.rate, after.rate)
            if layer.up_filter is not None:
                layer.up_filter.copy_(lowpass(layer.shape.up_taps, before.cutoff, 2 * before.half_width, rate))
            if layer.down_filter is not None:
                made = radial_lowpass if layer.shape.radial else lowpass
                layer.down_filter.copy_(made(layer.shape.down_taps, after.cutoff, 2 * after.half_width, rate))
        return network


def lowpass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A windowed sinc (taps,) of sum 1; edge and transition width in the unit of the sampling rate."""
    times = _times(taps, rate)
    return _unit(np.sinc(2 * cutoff * times) * _window(taps, width, rate))


def radial_lowpass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A windowed jinc (taps, taps) of sum 1, taps even: the same edge in all directions."""
    times, window = _times(taps, rate), _window(taps, width, rate)
    radius = np.hypot(times[:, None], times)
    bessel = torch.special.bessel_j1(torch.from_numpy(2 * math.pi * cutoff * radius)).numpy()
    return _unit(bessel / (math.pi * radius) * np.outer(window, window))


def _times(taps: int, rate: float) -> np.ndarray:
    return (np.arange(taps) - (taps - 1) / 2) / rate


def _window(taps: int, width: float, rate: float) -> np.ndarray:
    """Kaiser's window for a transition of that width, by his own formula for the attenuation that taps allow."""
    attenuation = 2.285 * (taps - 1) * math.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        over = max(attenuation - 21, 0)
        beta = 0.5842 * over**0.4 + 0.07886 * over
    return np.kaiser(taps, beta)


def _unit(kernel: np.ndarray) -> Tensor:
    return torch.from_numpy(kernel / kernel.sum()).float()
