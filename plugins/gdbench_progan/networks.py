"""The ProGAN generator (Karras et al. 2018, arXiv:1710.10196) in plain PyTorch, for inference and training.

One layout for every official file: plain weights and biases with all gains of the equalised learning rate folded in,
and the first layer as a linear one. Training puts the equalised learning rate on top as a parametrisation.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import unfilled

EPSILON = 1e-8
FUSE_FROM = 16  # side length from which one transposed convolution is faster than upsampling first


@dataclass(frozen=True)
class Config:
    """Sizes of a generator; `widths` are the channels at 4, 8, ... pixels, `outputs` the levels that have a toRGB.

    label_dim: how many of the inputs are a label, appended to z. The last five are not in the tensors.
    """

    widths: tuple[int, ...]
    inputs: int
    outputs: tuple[int, ...]
    image_channels: int = 3
    label_dim: int = 0
    normalisations: int = 1
    pixel_norm: bool = True
    slope: float = 0.2
    tanh: bool = False

    @property
    def resolution(self) -> int:
        """Side length of the images in pixels."""
        return int(4 * 2 ** (len(self.widths) - 1))

    @property
    def latent_dim(self) -> int:
        """The dimension of z."""
        return self.inputs - self.label_dim


def infer_config(
    state: Mapping[str, Tensor],
    label_dim: int = 0,
    normalisations: int = 1,
    pixel_norm: bool = True,
    slope: float = 0.2,
    tanh: bool = False,
) -> Config:
    """Read every size off a state dict; the other arguments are not in the tensors."""
    widths: list[int] = []
    while (key := f"convs.{2 * len(widths)}.weight") in state:
        widths.append(state[key].shape[0])
    outputs = tuple(level for level in range(len(widths)) if f"outputs.{level}.weight" in state)
    if not outputs or "linear.weight" not in state:
        raise ValueError("not a ProGAN state dict: no linear.weight, no convs.0.weight or no outputs")
    channels = state[f"outputs.{outputs[-1]}.weight"].shape[0]
    inputs = state["linear.weight"].shape[1]
    return Config(tuple(widths), inputs, outputs, channels, label_dim, normalisations, pixel_norm, slope, tanh)


def normalise(x: Tensor) -> Tensor:
    """Scale the vector of channels at every pixel (n, c, ...) to mean square 1 (section 4.2 of the paper)."""
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # its gradient: one pass over x, a square's three
    return x * (length.square() / x.shape[1] + EPSILON).rsqrt()


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Enlarge height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def conv_of_upsampled(x: Tensor, conv: nn.Module) -> Tensor:
    """A 3x3 convolution of the upsampled image; large ones as one transposed convolution, 4 products instead of 9.

    Repeating pixels is a transposed convolution with a 2x2 kernel of ones, so both compose to a 4x4 kernel of stride 2.
    """
    assert isinstance(conv, nn.Conv2d)
    if x.shape[2] < FUSE_FROM:
        return F.conv2d(upsample(x), conv.weight, conv.bias, padding=1)
    weight = F.pad(conv.weight, (1, 1, 1, 1))
    kernel = weight[..., 1:, 1:] + weight[..., 1:, :-1] + weight[..., :-1, 1:] + weight[..., :-1, :-1]
    return F.conv_transpose2d(x, kernel.flip(2, 3).transpose(0, 1), conv.bias, stride=2, padding=1)


class Generator(nn.Module):
    """Latents (n, latent_dim) to images (n, c, r, r), unbounded, nominally in [-1, 1].

    lod: the level of detail, how many of the finest resolutions are left out; a fraction fades the finest one used into
    the one below. Images keep their size.
    """

    lod: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.linear = nn.Linear(config.inputs, widths[0] * 16)
        sizes = [(widths[0], widths[0])]
        for a, b in itertools.pairwise(widths):
            sizes += [(a, b), (b, b)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in sizes)
        self.outputs = nn.ModuleDict({str(i): nn.Conv2d(widths[i], config.image_channels, 1) for i in config.outputs})
        self.register_buffer("lod", torch.zeros(()))

    def forward(
        self, z: Tensor, labels: Tensor | None = None, record: dict[str, Tensor] | None = None, lod: float | None = None
    ) -> Tensor:
        """Render; `record` collects activations after the linear layer and each resolution: `linear`, `b4`, ... ."""
        lod = float(self.lod) if lod is None else lod
        dropped, fade = int(lod), lod % 1
        last = len(self.config.widths) - 1 - dropped
        x = self.linear(self._inputs(z, labels)).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        features, before = {"linear": x}, x
        x = self._activate(x)
        for level in range(last + 1):
            before = x
            if level:
                x = self._activate(conv_of_upsampled(x, self.convs[2 * level - 1]))
            x = features[f"b{4 * 2**level}"] = self._activate(self.convs[2 * level](x))
        image = self.outputs[str(last)](x)
        if fade:
            image = torch.lerp(image, upsample(self.outputs[str(last - 1)](before)), fade)
        if record is not None:
            record.update(features)
        image = torch.tanh(image) if self.config.tanh else image
        return upsample(image, 2**dropped) if dropped else image

    def _inputs(self, z: Tensor, labels: Tensor | None) -> Tensor:
        for _ in range(self.config.normalisations - 1):
            z = normalise(z)
        x = z if labels is None else torch.cat([z, labels], 1)
        return normalise(x) if self.config.normalisations else x

    def _activate(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(x, self.config.slope)
        return normalise(x) if self.config.pixel_norm else x


def build(state: Mapping[str, Tensor], **facts: object) -> Generator:
    """The generator that holds these weights. Raises ValueError, LookupError or RuntimeError where some are missing."""
    config = infer_config(state, **facts)  # type: ignore[arg-type]
    network = unfilled(lambda: Generator(config))
    network.load_state_dict(dict(state), assign=True)
    lod = float(network.lod)
    last = len(config.widths) - 1 - int(lod)
    if not 0 <= lod <= len(config.widths) - 1 or not {last, last - (lod % 1 > 0)} <= set(config.outputs):
        raise ValueError(f"level of detail {lod} needs a toRGB that is not in the file")
    return network
