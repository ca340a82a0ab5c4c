"""ProGAN behind gdbench's `Generator` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gdbench import Codes, Program, UsageError, integers, load_weights, normal, read_facts
from gdbench_progan import Params
from gdbench_progan.networks import Generator, build
from gdbench_progan.operations import program

OVERRIDES = ("tanh", "label_dim")
FACTS = (*OVERRIDES, "normalisations", "pixel_norm", "slope")


class ProGAN:
    """A loaded ProGAN, frozen; its only space is z. The network normalises z, so that its length changes nothing.

    Labels, where the weights have any: class indices (n,) int64 or vectors (n, label_dim).
    """

    spaces: tuple[str, ...] = ("z",)

    def __init__(self, network: Generator, domain: str, truncation: float, device: torch.device) -> None:
        config = network.config
        self.network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.domain, self.device, self.truncation = domain, device, truncation
        self.lod = float(network.lod)
        self.image_shape = (config.image_channels, config.resolution, config.resolution)
        used = len(config.widths) - int(self.lod)
        self.feature_layers = ("linear", *(f"b{4 * 2**level}" for level in range(used)))

    def dim(self, space: str) -> int:
        """The dimension of a code in z."""
        if space != "z":
            raise UsageError(f"progan has no space {space!r}; it has z")
        return self.network.config.latent_dim

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """`n` normal codes times the truncation; labels, where there are any, uniform over the classes."""
        z = normal(rng, n, self.dim(space)) * self.truncation
        classes = self.network.config.label_dim
        labels = integers(rng, classes, n).to(self.device) if classes else None
        return Codes(z.to(self.device), space, labels)

    def render(self, codes: Codes) -> Tensor:
        """Images (n, channels, height, width), nominally in [-1, 1], never clamped."""
        return self._run(codes, {})

    def features(self, codes: Codes, layer: str) -> Tensor:
        """Activations (n, c, r, r): `linear` before its nonlinearity, `b4`, `b8`, ... at the end of a resolution."""
        if layer not in self.feature_layers:
            raise UsageError(f"no layer {layer!r}; layers: {', '.join(self.feature_layers)}")
        record: dict[str, Tensor] = {}
        self._run(codes, record)
        return record[layer]

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """The first layer (16 * channels, dim), which acts on the normalised z."""
        return {"linear": self.network.linear.weight[:, : self.dim(space)]}

    def program(self, space: str) -> Program | None:
        """The generator as a list of operations; None for weights that fade between two levels of detail."""
        self.dim(space)
        return program(self.network, self.truncation, self.lod)

    def _run(self, codes: Codes, record: dict[str, Tensor]) -> Tensor:
        self.dim(codes.space)
        labels, width = codes.labels, self.network.config.label_dim
        if (labels is None) != (width == 0):
            raise UsageError("these weights take labels" if width else "these weights take no labels (see label_dim)")
        kind = self.network.linear.weight.dtype
        if labels is not None:
            labels = (labels if labels.is_floating_point() else one_hot(labels, width)).to(kind)
        images: Tensor = self.network(codes.latents.to(kind), labels, record, self.lod)
        return images


def load(path: Path, params: Params, device: torch.device) -> ProGAN:
    """The generator whose weights (safetensors in the layout of `networks`, facts in the header) are at `path`.

    Raises MissingFile, IntegrityError, or ValueError for other weights.
    """
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in load_weights(path).items()}
    facts = read_facts(path)
    told = {name: facts[name] for name in FACTS if name in facts}
    told |= {name: value for name in OVERRIDES if (value := getattr(params, name)) is not None}
    return ProGAN(build(tensors, **told), facts.get("domain", "unknown"), params.truncation, device)
