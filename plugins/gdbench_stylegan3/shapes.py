"""What a StyleGAN3 is made of, without its numbers: the sides, channels and resampling factors of its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

LAYER = re.compile(r"synthesis\.(L(\d+)_(\d+)_\d+)\.weight")
MARGIN = 10  # samples that the input is larger than the image on each side, in every published file
TAPS = 6  # of a filter, for each unit of its resampling factor
FACTS = ("lr_multiplier", "conv_clamp", "output_scale", "sampling_rate", "bandwidth", "filter_size")


@dataclass(frozen=True)
class LayerShape:
    """One layer of the synthesis network: `inputs` channels of side `before` to `outputs` channels of side `after`.

    up, down: resampling around the activation, with filters of `up_taps` and `down_taps`; one tap is no filter.
    radial: the downsampling filter is not separable. rgb: the last layer, without demodulation and activation.
    """

    name: str
    inputs: int
    outputs: int
    before: int
    after: int
    kernel: int
    up: int = 1
    down: int = 1
    up_taps: int = 1
    down_taps: int = 1
    radial: bool = False
    rgb: bool = False

    @property
    def padding(self) -> tuple[int, int]:
        """Samples to add before and after the zero-stuffed signal, negative to crop, so that `after` samples remain."""
        needed = (self.after - 1) * self.down + self.up_taps + self.down_taps - 1
        total = needed - (self.before + self.kernel - 1) * self.up
        low = (total + self.up) // 2  # zeros follow each sample: half of them are padding already
        return low, total - low


@dataclass(frozen=True)
class Config:
    """A generator; sampling_rate: samples per image width of the input; bandwidth: its highest frequency.

    All but what `FACTS` names follows from weights.
    """

    layers: tuple[LayerShape, ...]
    z_dim: int
    w_dim: int
    mapping_layers: int
    label_dim: int = 0
    sampling_rate: float = 16.0
    bandwidth: float = 2.0
    lr_multiplier: float = 0.01
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25

    @property
    def channels(self) -> int:
        """How many Fourier features the input has."""
        return self.layers[0].inputs

    @property
    def style_layers(self) -> int:
        """Number of w vectors that synthesis takes: the first is the input's."""
        return len(self.layers) + 1

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.layers[-1].outputs, self.layers[-1].after, self.layers[-1].after


def infer_config(
    state: Mapping[str, Tensor],
    lr_multiplier: float = 0.01,
    conv_clamp: float | None = 256.0,
    output_scale: float = 0.25,
    sampling_rate: float | None = None,
    bandwidth: float = 2.0,
    filter_size: int = TAPS,
) -> Config:
    """Read every size off a state dict; the rest is not in the tensors, and has the value of the published files.

    Raises ValueError for other weights.
    """
    layers = _layers(state, filter_size)
    if not layers or "synthesis.input.freqs" not in state or "mapping.fc0.weight" not in state:
        raise ValueError("not a StyleGAN3 state dict: no synthesis.L0_*, synthesis.input.freqs or mapping.fc0.weight")
    w_dim = state["synthesis.input.affine.weight"].shape[1]
    embed = state.get("mapping.embed.weight")
    return Config(
        layers=layers,
        z_dim=state["mapping.fc0.weight"].shape[1] - (0 if embed is None else w_dim),
        w_dim=w_dim,
        mapping_layers=sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state),
        label_dim=0 if embed is None else embed.shape[1],
        sampling_rate=layers[0].before - 2 * MARGIN if sampling_rate is None else sampling_rate,
        bandwidth=bandwidth,
        lr_multiplier=lr_multiplier,
        conv_clamp=conv_clamp,
        output_scale=output_scale,
    )


def _layers(state: Mapping[str, Tensor], filter_size: int) -> tuple[LayerShape, ...]:
    """The layers in the order of their numbers. Raises ValueError for filters that no factor explains."""
    found = sorted((int(match[2]), match[1], int(match[3])) for name in state if (match := LAYER.fullmatch(name)))
    layers: list[LayerShape] = []
    for number, name, after in found:
        weight, up, down = (state.get(f"synthesis.{name}.{part}") for part in ("weight", "up_filter", "down_filter"))
        assert weight is not None
        taps = [1 if kernel is None else kernel.shape[-1] for kernel in (up, down)]
        if any(count != 1 and count % filter_size for count in taps) or (up is not None and up.ndim != 1):
            raise ValueError(f"{name}: filters of {taps[0]} and {taps[1]} taps, no rows of multiples of {filter_size}")
        layers.append(
            LayerShape(
                name=name,
                inputs=weight.shape[1],
                outputs=weight.shape[0],
                before=layers[-1].after if layers else after,
                after=after,
                kernel=weight.shape[2],
                up=max(1, taps[0] // filter_size),
                down=max(1, taps[1] // filter_size),
                up_taps=taps[0],
                down_taps=taps[1],
                radial=down is not None and down.ndim == 2,
                rgb=number == found[-1][0],
            )
        )
    return tuple(layers)
