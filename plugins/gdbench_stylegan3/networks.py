"""StyleGAN3 (Karras et al. 2021, arXiv:2106.12423), configs t and r, in plain PyTorch; keys as NVIDIA's.

Modulation scales activations instead of building one weight per sample: conv(x, w * s) = conv(x * s, w), and
demodulation, one number per sample and output channel, is a scale of the result. Rendering is in float32 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench_stylegan3.shapes import Config, LayerShape

EPSILON = 1e-8
GAIN = math.sqrt(2)  # of the leaky ReLU
SLOPE = 0.2
LARGEST = 1 << 26  # numbers of one intermediate signal: more channels than fit are filtered one part after another


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
    """z (and a label vector) to w: dense layers at a hundredth of the learning rate."""

    w_avg: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers, dim = config.mapping_layers, config.w_dim
        self.embed = Dense(config.label_dim, dim) if config.label_dim else None
        for i in range(self.layers):
            inputs = dim if i else config.z_dim + (dim if config.label_dim else 0)
            self.add_module(f"fc{i}", Dense(inputs, dim, config.lr_multiplier))
        self.register_buffer("w_avg", torch.zeros(dim))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (n, z_dim) and labels (n, label_dim) to w (n, w_dim), not truncated."""
        x = normalise_second_moment(z)
        if self.embed is not None:
            if labels is None:
                raise ValueError("this StyleGAN3 is conditional: labels are needed")
            x = torch.cat([x, normalise_second_moment(self.embed(labels))], 1)
        for i in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{i}")(x), SLOPE) * GAIN
        return x


def truncate(w: Tensor, w_avg: Tensor, layers: int, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
    """Repeat w (n, dim) for every layer, or take (n, layers, dim); pull the first `cutoff` layers towards the mean."""
    codes = w if w.ndim == 3 else w.unsqueeze(1).expand(-1, layers, -1)
    if psi == 1:
        return codes
    pulled = w_avg.lerp(codes, psi)
    return pulled if cutoff is None else torch.cat([pulled[:, :cutoff], codes[:, cutoff:]], 1)


class FourierInput(nn.Module):
    """Sine waves of fixed frequencies, rotated and shifted by w, through a linear map (section 3.1).

    `transform` (3, 3), in image widths, maps places of the image to places of the signal: with -d at [0, 2] the image
    moves right by d, with -d at [1, 2] down. It is one for all samples, and the identity where nobody set it.
    """

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.side, self.rate, self.bandwidth = config.layers[0].before, config.sampling_rate, config.bandwidth
        self.weight = nn.Parameter(torch.randn(config.channels, config.channels))
        self.affine = Dense(config.w_dim, 4)
        with torch.no_grad():  # at first w moves nothing: cosine 1, sine 0, no shift
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        waves = torch.randn(config.channels, 2)
        length = waves.norm(dim=1, keepdim=True)
        inside = waves / length * (-length.square() / 4).exp()  # uniform in the unit disc
        self.register_buffer("freqs", inside * self.bandwidth)
        self.register_buffer("phases", torch.rand(config.channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, w: Tensor, style: Tensor | None = None) -> Tensor:
        """w (n, w_dim), or what the affine makes of it (n, 4), to features (n, channels, side, side)."""
        transforms = self.transforms(self.affine(w) if style is None else style)
        phases = self.phases + (self.freqs @ transforms[:, :2, 2:]).squeeze(2)
        freqs = self.freqs @ transforms[:, :2, :2]
        places = (torch.arange(self.side, dtype=freqs.dtype, device=w.device) + (0.5 - self.side / 2)) / self.rate
        along_x = freqs[:, :, 0, None] * places
        along_y = freqs[:, :, 1, None] * places + phases[:, :, None]
        waves = ((along_y[:, :, :, None] + along_x[:, :, None, :]) * (2 * math.pi)).sin()
        # frequencies that a scaling transform lifts above the bandwidth fade until half the sampling rate
        faded = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        waves = waves * (1 - faded).clamp(0, 1)[:, :, None, None]
        return F.conv2d(waves, self.weight[:, :, None, None] / math.sqrt(len(self.weight)))

    def transforms(self, style: Tensor) -> Tensor:
        """The inverse transform (n, 3, 3) of each sample: `transform`, then shift and rotation as its style asks."""
        cosine, sine, x, y = (style / style[:, :2].norm(dim=1, keepdim=True)).unbind(1)
        nothing, one = torch.zeros_like(x), torch.ones_like(x)
        rows = (cosine, -sine, sine * y - cosine * x, sine, cosine, -sine * x - cosine * y, nothing, nothing, one)
        return torch.stack(rows, 1).reshape(-1, 3, 3) @ self.transform


def upsample(x: Tensor, kernel: Tensor, up: int, padding: tuple[int, int]) -> Tensor:
    """Insert up - 1 zeros after each sample of (n, c, h, w), pad or crop, filter with `kernel` (taps,) times up.

    Both axes alike; the result has h * up + padding - taps + 1 rows.
    """
    kernel, channels = kernel * up, x.shape[1]
    crop = len(kernel) - 1 - padding[0], len(kernel) - up - padding[1]  # of the whole convolution
    common = max(0, min(crop))
    rows, columns = (k.expand(channels, 1, -1, -1) for k in (kernel[:, None], kernel[None]))
    x = F.conv_transpose2d(x, rows, stride=(up, 1), padding=(common, 0), groups=channels)
    x = F.conv_transpose2d(x, columns, stride=(1, up), padding=(0, common), groups=channels)
    rest = (common - crop[0], common - crop[1])
    return F.pad(x, rest * 2) if any(rest) else x


def downsample(x: Tensor, kernel: Tensor, down: int) -> Tensor:
    """Filter (n, c, h, w) with `kernel`, (taps,) along each axis or (taps, taps); keep every down-th sample."""
    channels, kernel = x.shape[1], kernel.flip([*range(kernel.ndim)])  # a convolution
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.expand(channels, 1, -1, -1), stride=down, groups=channels)
    x = F.conv2d(x, kernel[:, None].expand(channels, 1, -1, -1), stride=(down, 1), groups=channels)
    return F.conv2d(x, kernel[None].expand(channels, 1, -1, -1), stride=(1, down), groups=channels)


class SynthesisLayer(nn.Module):
    """Modulated convolution, bias, and an activation between an upsampling and a downsampling filter (figure 4b)."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, shape: LayerShape, config: Config) -> None:
        super().__init__()
        self.shape, self.clamp = shape, config.conv_clamp
        self.affine = Dense(config.w_dim, shape.inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(shape.outputs, shape.inputs, shape.kernel, shape.kernel))
        self.bias = nn.Parameter(torch.zeros(shape.outputs))
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.register_buffer("up_filter", torch.zeros(shape.up_taps) if shape.up_taps > 1 else None)
        taps = (shape.down_taps,) * (2 if shape.radial else 1)
        self.register_buffer("down_filter", torch.zeros(taps) if shape.down_taps > 1 else None)

    def forward(self, x: Tensor, w: Tensor, keep: float | None = None, style: Tensor | None = None) -> Tensor:
        """Features (n, in, h, h) and w (n, w_dim), or what the affine makes of it (n, in), to (n, out, h', h').

        keep: share of the running mean square of inputs that stays when this batch is added; None leaves it alone.
        """
        if keep is not None:
            self.magnitude_ema.lerp_(x.detach().square().mean(), 1 - keep)
        x, scale = self.convolved(x, self.affine(w) if style is None else style)
        gain = 1.0 if self.shape.rgb else GAIN  # lrelu(a) * gain = lrelu(a * gain), and filters are linear
        x = torch.addcmul(self.bias[:, None, None] * gain, x, scale * (self.magnitude_ema.rsqrt() * gain))
        side = (self.shape.after - 1) * self.shape.down + self.shape.down_taps
        most = max(1, LARGEST // (len(x) * side**2))
        if most >= x.shape[1]:
            return self.activated(x)
        return torch.cat([self.activated(part) for part in torch.split(x, most, 1)], 1)

    def convolved(self, x: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Full convolution with modulated weights, before demodulation, and factors for that (n, out, 1, 1)."""
        padding = self.shape.kernel - 1
        if self.shape.rgb:
            styles = styles / math.sqrt(self.weight[0].numel())
            return F.conv2d(x * styles[:, :, None, None], self.weight, padding=padding), styles.new_ones(1, 1, 1, 1)
        weight = self.weight * self.weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
        styles = styles * styles.square().mean(1, keepdim=True).rsqrt()
        factors = (F.linear(styles.square(), weight.square().sum((2, 3))) + EPSILON).rsqrt()
        return F.conv2d(x * styles[:, :, None, None], weight, padding=padding), factors[:, :, None, None]

    def activated(self, x: Tensor) -> Tensor:
        """Any of the channels: up, leaky ReLU, clamp, down."""
        shape = self.shape
        if self.up_filter is None:
            x = F.pad(x, shape.padding * 2) if any(shape.padding) else x
        else:
            x = upsample(x, self.up_filter, shape.up, shape.padding)
        x = x if shape.rgb else F.leaky_relu(x, SLOPE)
        x = x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
        return x if self.down_filter is None else downsample(x, self.down_filter, shape.down)


class SynthesisNetwork(nn.Module):
    """Styles (n, layers + 1, w_dim) to images (n, c, r, r)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.input = FourierInput(config)
        for shape in config.layers:
            self.add_module(shape.name, SynthesisLayer(shape, config))

    def layers(self) -> dict[str, SynthesisLayer]:
        """The layers by name, in order."""
        return {name: layer for name, layer in self.named_children() if isinstance(layer, SynthesisLayer)}

    def forward(
        self,
        ws: Tensor,
        record: dict[str, Tensor] | None = None,
        keep: float | None = None,
        styles: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Render; `record` collects the output of each layer by name, `keep` is that of the layers.

        styles: the style channels (n, any) of the input and of each layer, in place of what affines make of `ws`
        (n, layers + 1, any).
        """
        given = [None] * ws.shape[1] if styles is None else styles
        x: Tensor = self.input(ws[:, 0], given[0]).contiguous(memory_format=torch.channels_last)
        for i, (name, layer) in enumerate(self.layers().items(), 1):
            x = layer(x, ws[:, i], keep, given[i])
            if record is not None:
                record[name] = x
        return x * self.config.output_scale


class Generator(nn.Module):
    """Mapping and synthesis of one checkpoint."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (n, z_dim) to images, without truncation."""
        ws = truncate(self.mapping(z, labels), self.mapping.w_avg, self.config.style_layers)
        image: Tensor = self.synthesis(ws)
        return image
