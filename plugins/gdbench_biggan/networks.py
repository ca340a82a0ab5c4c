"""BigGAN and BigGAN-deep generators (Brock et al. 2019, arXiv:1809.11096) in plain PyTorch, for inference and training.

One convention for every official layout: weights are already divided by their spectral norm, the first linear layer
is channel-first, and a condition is (class, z). Training puts spectral norm on top as a parametrisation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import unfilled

FUSE_FROM = 16  # side length from which one transposed convolution is faster than upsampling first


@dataclass(frozen=True)
class Config:
    """Sizes of a generator; `widths` are the channels at 4x4 and after each block.

    class_dim: width of the shared class embedding, 0 where every layer embeds the class by itself. slots: pieces into
    which z is cut, one for the first layer and one a block; 1: only the first layer sees z (BigGAN), or all layers see
    the whole of it (deep). attention: the blocks that one follows. up: the blocks that double the resolution.
    """

    widths: tuple[int, ...]
    latent_dim: int
    classes: int
    class_dim: int
    slots: int
    up: tuple[int, ...]
    attention: tuple[int, ...] = ()
    deep: bool = False
    eps: float = 1e-5
    image_channels: int = 3

    @property
    def output_eps(self) -> float:
        """Epsilon of the last batch norm, which the official BigGAN does not tell its own."""
        return self.eps if self.deep else 1e-5

    @property
    def blocks(self) -> int:
        """Number of residual blocks."""
        return len(self.widths) - 1

    @property
    def resolution(self) -> int:
        """Side length of the images in pixels."""
        return int(4 * 2 ** len(self.up))

    @property
    def condition_dim(self) -> int:
        """Width of what the batch norms of a block are conditioned on."""
        z = self.latent_dim if self.deep else self.latent_dim // self.slots if self.slots > 1 else 0
        return (self.class_dim or self.classes) + z


def infer_config(state: Mapping[str, Tensor], eps: float = 1e-5, up: tuple[int, ...] | None = None) -> Config:
    """Read every size off a state dict; epsilon and which blocks of a deep one double (`up`) are not in the tensors."""
    deep = "blocks.0.conv0.weight" in state
    first, last = ("conv0", "conv3") if deep else ("conv1", "conv2")
    blocks = sum(key.startswith("blocks.") and key.endswith(f".{first}.weight") for key in state)
    if not blocks or "linear.weight" not in state:
        raise ValueError("not a BigGAN state dict: no linear.weight or no blocks.0.conv1.weight")
    widths = [state[f"blocks.0.{first}.weight"].shape[1]]
    widths += [state[f"blocks.{i}.{last}.weight"].shape[0] for i in range(blocks)]
    condition = state[f"blocks.0.bn{0 if deep else 1}.gain.weight"].shape[1]
    classes, class_dim = state["shared.weight"].shape if "shared.weight" in state else (condition, 0)
    inputs = state["linear.weight"].shape[1]
    slots = blocks + 1 if not deep and class_dim and condition > class_dim else 1
    return Config(
        widths=tuple(widths),
        latent_dim=inputs - (class_dim or classes) if deep else inputs * slots,
        classes=classes,
        class_dim=class_dim,
        slots=slots,
        up=tuple(range(blocks)) if up is None else tuple(up),
        attention=tuple(i for i in range(blocks) if f"attention.{i}.gamma" in state),
        deep=deep,
        eps=eps,
        image_channels=state["output.weight"].shape[0],
    )


def upsample(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def conv_of_upsampled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A 3x3 convolution of the upsampled image; large ones as one transposed convolution, 4 products instead of 9.

    Repeating pixels is a transposed convolution with a 2x2 kernel of ones, so both compose to a 4x4 kernel of stride 2.
    """
    if x.shape[2] < FUSE_FROM:
        return F.conv2d(upsample(x), conv.weight, conv.bias, padding=1)
    weight = F.pad(conv.weight, (1, 1, 1, 1))
    kernel = weight[..., 1:, 1:] + weight[..., 1:, :-1] + weight[..., :-1, 1:] + weight[..., :-1, :-1]
    return F.conv_transpose2d(x, kernel.flip(2, 3).transpose(0, 1), conv.bias, stride=2, padding=1)


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a condition: normalised * (1 + gain) + bias."""

    def __init__(self, channels: int, condition: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps, affine=False)
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return torch.addcmul(bias[:, :, None, None], self.norm(x), gain[:, :, None, None])


class Attention(nn.Module):
    """Self-attention of every position over the 2x2 max-pooled positions (SAGAN, Zhang et al. 2019), not scaled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.theta(x).flatten(2)
        key = F.max_pool2d(self.phi(x), 2).flatten(2)
        value = F.max_pool2d(self.g(x), 2).flatten(2)
        beta = (query.transpose(1, 2) @ key).softmax(2)
        mixed = (value @ beta.transpose(1, 2)).unflatten(2, x.shape[2:])
        return torch.addcmul(x, self.gamma, self.o(mixed))


class Block(nn.Module):
    """Residual block of BigGAN (figure 15b): doubles the resolution."""

    def __init__(self, inputs: int, outputs: int, condition: int, eps: float) -> None:
        super().__init__()
        self.bn1 = ConditionalNorm(inputs, condition, eps)
        self.bn2 = ConditionalNorm(outputs, condition, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = conv_of_upsampled(F.relu(self.bn1(x, condition)), self.conv1)
        y = self.conv2(F.relu(self.bn2(y, condition)))
        out: Tensor = y + upsample(self.shortcut(x))  # a 1x1 convolution commutes with upsampling
        return out


class DeepBlock(nn.Module):
    """Bottleneck block of BigGAN-deep (figure 16b): the shortcut drops channels instead of mixing them."""

    def __init__(self, inputs: int, outputs: int, condition: int, eps: float, up: bool) -> None:
        super().__init__()
        hidden = inputs // 4
        self.bn0 = ConditionalNorm(inputs, condition, eps)
        self.bn1, self.bn2, self.bn3 = (ConditionalNorm(hidden, condition, eps) for _ in range(3))
        self.conv0 = nn.Conv2d(inputs, hidden, 1)
        self.conv1 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, outputs, 1)
        self.up = up

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv0(F.relu(self.bn0(x, condition))), condition))
        y = conv_of_upsampled(y, self.conv1) if self.up else self.conv1(y)
        y = self.conv3(F.relu(self.bn3(self.conv2(F.relu(self.bn2(y, condition))), condition)))
        kept = x[:, : self.conv3.out_channels]
        out: Tensor = y + (upsample(kept) if self.up else kept)
        return out


class Generator(nn.Module):
    """Latents (n, latent_dim) and labels to images (n, c, r, r) in (-1, 1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.classes, config.class_dim) if config.class_dim else None
        inputs = config.condition_dim if config.deep else config.latent_dim // config.slots
        self.linear = nn.Linear(inputs, config.widths[0] * 16)
        self.blocks = nn.ModuleList(self._block(i) for i in range(config.blocks))
        self.attention = nn.ModuleDict({str(i): Attention(config.widths[i + 1]) for i in config.attention})
        self.output_norm = nn.BatchNorm2d(config.widths[-1], config.output_eps)
        self.output = nn.Conv2d(config.widths[-1], config.image_channels, 3, padding=1)

    def _block(self, i: int) -> nn.Module:
        inputs, outputs = self.config.widths[i : i + 2]
        if self.config.deep:
            return DeepBlock(inputs, outputs, self.config.condition_dim, self.config.eps, i in self.config.up)
        return Block(inputs, outputs, self.config.condition_dim, self.config.eps)

    def embed(self, labels: Tensor) -> Tensor:
        """What the layers see of class indices (n,), soft class vectors (n, classes) or embeddings (n, class_dim).

        A row that could be both, because classes = class_dim, is a class vector.
        """
        if not labels.is_floating_point():
            labels = F.one_hot(labels, self.config.classes).to(self.linear.weight.dtype)
        if self.shared is None or labels.shape[1] != self.config.classes:
            return labels
        return labels @ self.shared.weight

    def conditions(self, z: Tensor, embedded: Tensor) -> list[Tensor]:
        """The input of the first layer, then the condition of each block."""
        if self.config.deep:
            return [torch.cat([embedded, z], 1)] * (self.config.blocks + 1)
        if self.config.slots == 1:
            return [z] + [embedded] * self.config.blocks
        first, *others = z.chunk(self.config.slots, 1)
        return [first, *(torch.cat([embedded, slot], 1) for slot in others)]

    def forward(self, z: Tensor, labels: Tensor, record: dict[str, Tensor] | None = None) -> Tensor:
        """Render; `record` collects the activations after the linear layer and each block: `linear`, `block0`, ... ."""
        first, *conditions = self.conditions(z, self.embed(labels))
        x = self.linear(first).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        features = {"linear": x}
        for i, (block, condition) in enumerate(zip(self.blocks, conditions, strict=True)):
            x = block(x, condition)
            if str(i) in self.attention:
                x = self.attention[str(i)](x)
            features[f"block{i}"] = x
        if record is not None:
            record.update(features)
        return torch.tanh(self.output(F.relu(self.output_norm(x))))


def build(state: Mapping[str, Tensor], eps: float = 1e-5, up: tuple[int, ...] | None = None) -> Generator:
    """The generator that holds these weights. Raises ValueError, KeyError or RuntimeError where some are missing."""
    config = infer_config(state, eps, up)
    network = unfilled(lambda: Generator(config))
    network.load_state_dict(dict(state), assign=True)
    return network
