"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) in plain PyTorch, any resolution and width; keys as NVIDIA's.

Modulation scales activations instead of building one weight per sample: conv(x, w * s) = conv(x * s, w), and
demodulation, one number per sample and output channel, is a scale of the result. Equal to the paper's equations 1 to 3.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-8
GAIN = math.sqrt(2)  # of the leaky ReLU


@dataclass(frozen=True)
class Config:
    """Sizes of a generator; `widths` are the channels at 4, 8, ... pixels.

    noise: layers have noise strengths; maps: they have maps as well. hidden_dim, embed_dim: widths of the mapping's
    inner layers and of the embedded label where they are not w_dim. All but `lr_multiplier` and `conv_clamp` follow
    from weights.
    """

    widths: tuple[int, ...]
    z_dim: int
    w_dim: int
    mapping_layers: int
    label_dim: int = 0
    image_channels: int = 3
    noise: bool = True
    lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    maps: bool = True
    hidden_dim: int | None = None
    embed_dim: int | None = None

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Side lengths in pixels of the blocks, from 4."""
        return tuple(4 * 2**level for level in range(len(self.widths)))

    @property
    def style_layers(self) -> int:
        """Number of w vectors that synthesis takes."""
        return 2 * len(self.widths)


def infer_config(state: Mapping[str, Tensor], lr_multiplier: float = 0.01, conv_clamp: float | None = None) -> Config:
    """Read every size off a state dict; the learning-rate multiplier and the clamp are not in the tensors."""
    widths: list[int] = []
    while (key := f"synthesis.b{4 * 2 ** len(widths)}.conv1.weight") in state:
        widths.append(state[key].shape[0])
    if not widths or "mapping.fc0.weight" not in state:
        raise ValueError("not a StyleGAN2 state dict: no mapping.fc0.weight or no synthesis.b4.conv1.weight")
    w_dim = state["synthesis.b4.conv1.affine.weight"].shape[1]
    label_dim, embed_dim, embed = 0, 0, state.get("mapping.embed.weight")
    if embed is not None:
        embed_dim, label_dim = embed.shape
    hidden_dim, inputs = state["mapping.fc0.weight"].shape
    return Config(
        widths=tuple(widths),
        z_dim=inputs - embed_dim,
        w_dim=w_dim,
        mapping_layers=sum(key.startswith("mapping.fc") and key.endswith("weight") for key in state),
        label_dim=label_dim,
        image_channels=state["synthesis.b4.torgb.weight"].shape[0],
        noise="synthesis.b4.conv1.noise_strength" in state,
        lr_multiplier=lr_multiplier,
        conv_clamp=conv_clamp,
        maps="synthesis.b4.conv1.noise_const" in state or "synthesis.b4.conv1.noise_strength" not in state,
        hidden_dim=None if hidden_dim == w_dim else hidden_dim,
        embed_dim=None if embed_dim in (0, w_dim) else embed_dim,
    )


def normalise_second_moment(x: Tensor) -> Tensor:
    """Scale rows (n, d) to mean square 1."""
    return x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()


class Dense(nn.Module):
    """Linear layer with an equalised learning rate: stored weights are scaled by lr / sqrt(fan in), biases by lr."""

    def __init__(self, inputs: int, outputs: int, lr: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr))
        self.lr = lr

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * (self.lr / math.sqrt(self.weight.shape[1])), self.bias * self.lr)


class MappingNetwork(nn.Module):
    """z (and a label vector) to w: dense layers at a hundredth of the learning rate (StyleGAN, section 4)."""

    w_avg: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = config.mapping_layers
        embed_dim = (config.embed_dim or config.w_dim) if config.label_dim else 0
        self.embed = Dense(config.label_dim, embed_dim) if config.label_dim else None
        widths = [config.z_dim + embed_dim, *[config.hidden_dim or config.w_dim] * (self.layers - 1), config.w_dim]
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            self.add_module(f"fc{i}", Dense(inputs, outputs, config.lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (n, z_dim) and labels (n, label_dim) to w (n, w_dim), not truncated."""
        x = normalise_second_moment(z)
        if self.embed is not None:
            if labels is None:
                raise ValueError("this StyleGAN2 is conditional: labels are needed")
            x = torch.cat([x, normalise_second_moment(self.embed(labels))], 1)
        for i in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{i}")(x), 0.2) * GAIN
        return x


def truncate(w: Tensor, w_avg: Tensor, layers: int, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
    """Repeat w (n, dim) for every layer, or take (n, layers, dim); pull the first `cutoff` layers towards the mean."""
    codes = w if w.ndim == 3 else w.unsqueeze(1).expand(-1, layers, -1)
    if psi == 1:
        return codes
    pulled = w_avg.lerp(codes, psi)
    return pulled if cutoff is None else torch.cat([pulled[:, :cutoff], codes[:, cutoff:]], 1)


def fir_kernel(reference: Tensor) -> Tensor:
    """The 4x4 filter [1, 3, 3, 1] x [1, 3, 3, 1] of sum 1, with the type and device of `reference`."""
    row = torch.tensor([0.125, 0.375, 0.375, 0.125], dtype=reference.dtype, device=reference.device)
    return row[:, None] * row


def blur(x: Tensor, padding: int) -> Tensor:
    """Filter each channel of (n, c, h, w) with the FIR kernel of sum 1; the result is 2 * padding - 3 pixels larger."""
    channels = x.shape[1]
    kernel = fir_kernel(x).expand(channels, 1, 4, 4).contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, kernel, padding=padding, groups=channels)


def upsample_image(x: Tensor) -> Tensor:
    """Double (n, c, h, w) by zero insertion and the FIR filter of gain 4: padding 2 before, 1 after."""
    channels = x.shape[1]
    return F.conv_transpose2d(x, (4 * fir_kernel(x)).expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


def modulated_conv(x: Tensor, weight: Tensor, styles: Tensor, up: bool = False) -> tuple[Tensor, Tensor]:
    """Convolve with modulated weights, before demodulation: returns (n, out, h, w) and factors (n, out, 1, 1).

    `x` (n, in, h, w), `weight` (out, in, k, k), `styles` (n, in). `up` doubles the resolution first: transposed
    convolution, then the FIR filter of gain 4. The demodulated result is the product (equations 1 to 3).
    """
    demodulation = (F.linear(styles.square(), weight.square().sum((2, 3))) + EPSILON).rsqrt()[:, :, None, None]
    x = x * styles[:, :, None, None]
    if not up:
        return F.conv2d(x, weight, padding=weight.shape[2] // 2), demodulation
    return blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1), 4 * demodulation


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU (figure 2c of the paper)."""

    noise_const: Tensor

    def __init__(self, inputs: int, outputs: int, resolution: int, config: Config, up: bool = False) -> None:
        super().__init__()
        self.affine = Dense(config.w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.up, self.clamp = up, config.conv_clamp
        if config.noise:
            self.noise_strength = nn.Parameter(torch.zeros(()))
        if config.noise and config.maps:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, style: Tensor | None = None) -> Tensor:
        x, scale = modulated_conv(x, self.weight, self.affine(w) if style is None else style, self.up)
        shift = self.bias[:, None, None]
        if noise is not None:
            shift = shift + noise * self.noise_strength
        # lrelu(a) * gain = lrelu(a * gain): the gain rides on the demodulation and the bias
        x = F.leaky_relu(torch.addcmul(shift * GAIN, x, scale * GAIN), 0.2)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation."""

    def __init__(self, inputs: int, config: Config) -> None:
        super().__init__()
        self.affine = Dense(config.w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(config.image_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.image_channels))
        self.clamp = config.conv_clamp

    def forward(self, x: Tensor, w: Tensor, style: Tensor | None = None) -> Tensor:
        styles = (self.affine(w) if style is None else style) / math.sqrt(self.weight.shape[1])
        x = F.conv2d(x * styles[:, :, None, None], self.weight) + self.bias[:, None, None]
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """One resolution: up-convolution (a constant at 4x4), convolution, and its share of the image."""

    def __init__(self, inputs: int, outputs: int, resolution: int, config: Config) -> None:
        super().__init__()
        if inputs:
            self.conv0 = StyledConv(inputs, outputs, resolution, config, up=True)
        else:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        self.conv1 = StyledConv(outputs, outputs, resolution, config)
        self.torgb = ToRGB(outputs, config)

    @property
    def convolutions(self) -> tuple[StyledConv, ...]:
        """The styled convolutions in order."""
        return (self.conv0, self.conv1) if hasattr(self, "conv0") else (self.conv1,)


Noise = str | Sequence[Tensor]


class SynthesisNetwork(nn.Module):
    """Styles (n, layers, w_dim) to images (n, c, r, r), the skip architecture (figure 7b)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        inputs = (0, *config.widths[:-1])
        for before, width, resolution in zip(inputs, config.widths, config.resolutions, strict=True):
            self.add_module(f"b{resolution}", SynthesisBlock(before, width, resolution, config))

    def blocks(self) -> list[SynthesisBlock]:
        """The blocks, from 4x4 up."""
        return [block for block in self.children() if isinstance(block, SynthesisBlock)]

    def noise_maps(self, noise: Noise) -> list[Tensor | None]:
        """One map (or None) per convolution for "const", "none" or given maps (each broadcastable to (n, 1, r, r))."""
        layers = [layer for block in self.blocks() for layer in block.convolutions]
        if noise == "none":
            return [None] * len(layers)
        if not self.config.noise:
            raise ValueError('these weights carry no noise strengths: noise must be "none"')
        if noise == "const" and not self.config.maps:
            raise ValueError(f'these weights carry no noise maps: noise must be "none" or {len(layers)} maps')
        if noise == "const":
            return [layer.noise_const for layer in layers]
        if isinstance(noise, str) or len(noise) != len(layers):
            raise ValueError(f'noise must be "const", "none" or {len(layers)} maps')
        return list(noise)

    def forward(
        self,
        ws: Tensor,
        noise: Noise = "none",
        record: dict[str, Tensor] | None = None,
        styles: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Render; `record` collects the activations after each block under `b4`, `b8`, ... .

        styles: the style vectors (n, channels) of all affines in place of what they make of `ws` (n, layers, any).
        """
        maps = iter(self.noise_maps(noise))
        given = iter(styles) if styles is not None else itertools.repeat(None)
        layer, x = 0, ws.new_empty(0)
        image: Tensor | None = None
        for name, block in self.named_children():
            assert isinstance(block, SynthesisBlock)
            if layer == 0:
                x = block.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
            for conv in block.convolutions:
                x = conv(x, ws[:, layer], next(maps), next(given))
                layer += 1
            rgb: Tensor = block.torgb(x, ws[:, layer], next(given))
            image = rgb if image is None else upsample_image(image) + rgb
            if record is not None:
                record[name] = x
        assert image is not None
        return image


class Generator(nn.Module):
    """Mapping and synthesis of one checkpoint."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)

    def forward(self, z: Tensor, labels: Tensor | None = None, noise: Noise = "none") -> Tensor:
        """Latents (n, z_dim) to images, without truncation."""
        ws = truncate(self.mapping(z, labels), self.mapping.w_avg, self.config.style_layers)
        image: Tensor = self.synthesis(ws, noise)
        return image
