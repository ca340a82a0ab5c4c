"""BigGAN and BigGAN-deep behind gdbench's `Generator` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.stats import truncnorm
from torch import Tensor

from gdbench import Codes, Program, UsageError, integers, load_weights, normal, read_facts
from gdbench_biggan import Params
from gdbench_biggan.formats import statistics_at
from gdbench_biggan.networks import ConditionalNorm, Generator, build
from gdbench_biggan.operations import program

DEEP_BOUND = 2.0  # the statistics of BigGAN-deep belong to a normal cut off at two standard deviations
FACTS = ("eps", "up")


class BigGAN:
    """A loaded BigGAN, frozen; its only space is z.

    Labels of codes: class indices (n,) int64, soft class vectors (n, classes) or class embeddings (n, class_dim).
    label: the class of all samples; None draws them from all.
    """

    spaces: tuple[str, ...] = ("z",)

    def __init__(
        self, network: Generator, domain: str, truncation: float, device: torch.device, label: int | None = None
    ) -> None:
        config = network.config
        self.network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.domain, self.device, self.truncation, self.label = domain, device, truncation, label
        self.image_shape = (config.image_channels, config.resolution, config.resolution)
        self.feature_layers = ("linear", *(f"block{i}" for i in range(config.blocks)))

    def dim(self, space: str) -> int:
        """The dimension of a code in z: all slots together."""
        if space != "z":
            raise UsageError(f"biggan has no space {space!r}; it has z")
        return self.network.config.latent_dim

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """`n` normal codes (for BigGAN-deep cut at +-2) times the truncation, labels uniform over the classes or
        all the one asked for."""
        shape = n, self.dim(space)
        if self.network.config.deep:
            z = torch.from_numpy(truncnorm.rvs(-DEEP_BOUND, DEEP_BOUND, size=shape, random_state=rng)).float()
        else:
            z = normal(rng, *shape)
        labels = integers(rng, self.network.config.classes, n) if self.label is None else torch.full((n,), self.label)
        return Codes((z * self.truncation).to(self.device), space, labels.to(self.device))

    def render(self, codes: Codes) -> Tensor:
        """Images (n, channels, height, width) in (-1, 1)."""
        return self._run(codes, {})

    def features(self, codes: Codes, layer: str) -> Tensor:
        """Activations (n, c, r, r) after the linear layer or a block with its attention."""
        if layer not in self.feature_layers:
            raise UsageError(f"no layer {layer!r}; layers: {', '.join(self.feature_layers)}")
        record: dict[str, Tensor] = {}
        self._run(codes, record)
        return record[layer]

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """First layers that see z, (outputs, dim): the linear one, and the z columns of each block's conditional norms.

        Spectrally normalised, as applied. With slots a layer sees its own slot only and the other columns are zero, so
        every SeFa direction lives in one slot.
        """
        dim, config = self.dim(space), self.network.config
        width = config.class_dim or config.classes
        first = self.network.linear.weight[:, width if config.deep else 0 :]
        layers = {"linear": first, **{f"block{i}": self._norm_weights(i)[:, width:] for i in range(config.blocks)}}
        return {
            name: weight if weight.shape[1] == dim else _in_slot(weight, slot, dim)
            for slot, (name, weight) in enumerate(layers.items())
            if weight.shape[1]
        }

    def _norm_weights(self, block: int) -> Tensor:
        norms = [norm for norm in self.network.blocks[block].children() if isinstance(norm, ConditionalNorm)]
        return torch.cat([linear.weight for norm in norms for linear in (norm.gain, norm.bias)])

    def program(self, space: str) -> Program | None:
        """The generator as a list of operations; None for BigGAN-deep and for weights with attention."""
        self.dim(space)
        return program(self.network, self.truncation, self.label)

    def _run(self, codes: Codes, record: dict[str, Tensor]) -> Tensor:
        self.dim(codes.space)
        if codes.labels is None:
            raise UsageError("biggan is conditional: codes need labels")
        kind, labels = self.network.linear.weight.dtype, codes.labels
        labels = labels.to(kind) if labels.is_floating_point() else labels
        images: Tensor = self.network(codes.latents.to(kind), labels, record)
        return images


def _in_slot(weight: Tensor, slot: int, dim: int) -> Tensor:
    """The columns of `weight` at their slot among `dim`, zeros elsewhere."""
    width = weight.shape[1]
    placed = weight.new_zeros(len(weight), dim)
    placed[:, slot * width : (slot + 1) * width] = weight
    return placed


def load(path: Path, params: Params, device: torch.device) -> BigGAN:
    """The generator whose weights (safetensors in the layout of `networks`, facts in the header) are at `path`.

    Raises MissingFile, IntegrityError, UsageError for a truncation without statistics or a class that it does not have,
    or ValueError for other weights.
    """
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in load_weights(path).items()}
    facts = read_facts(path)
    told = {name: facts[name] for name in FACTS if name in facts}
    told |= {name: value for name in FACTS if (value := getattr(params, name)) is not None}
    network = build(statistics_at(tensors, params.truncation), **told)
    classes = network.config.classes
    if params.label is not None and params.label >= classes:
        raise UsageError(f"label {params.label}: this BigGAN has the classes 0 to {classes - 1}")
    return BigGAN(network, facts.get("domain", "unknown"), params.truncation, device, params.label)
