"""SNGAN behind gdbench's `Generator` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, Program, UsageError, integers, load_weights, normal, read_facts, unfilled
from gdbench_sngan import Params
from gdbench_sngan.networks import Generator, infer_config
from gdbench_sngan.operations import program

FACTS = ("upsampling",)  # what the tensors do not tell


class SNGAN:
    """A loaded SNGAN generator, frozen; its only space is z. Labels: class indices (n,) or soft class vectors."""

    spaces: tuple[str, ...] = ("z",)

    def __init__(self, network: Generator, domain: str, params: Params, device: torch.device) -> None:
        config = network.config
        self.network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.domain, self.device, self.params = domain, device, params
        self.image_shape = (config.image_channels, config.resolution, config.resolution)
        self.feature_layers = ("linear", *(f"block{i}" for i in range(len(config.bypass))))

    def dim(self, space: str) -> int:
        """The dimension of a code in z."""
        if space != "z":
            raise UsageError(f"sngan has no space {space!r}; it has z")
        return self.network.config.latent_dim

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """`n` standard normal codes, times psi; uniform class indices where the generator is conditional."""
        latents = normal(rng, n, self.dim(space)) * self.params.psi
        classes = self.network.config.classes
        labels = integers(rng, classes, n).to(self.device) if classes else None
        return Codes(latents.to(self.device), space, labels)

    def render(self, codes: Codes) -> Tensor:
        """Images (n, channels, height, width) in (-1, 1)."""
        return self._run(codes, {})

    def features(self, codes: Codes, layer: str) -> Tensor:
        """Activations (n, c, r, r) after the linear layer or a block."""
        if layer not in self.feature_layers:
            raise UsageError(f"no layer {layer!r}; layers: {', '.join(self.feature_layers)}")
        record: dict[str, Tensor] = {}
        self._run(codes, record)
        return record[layer]

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """The first linear layer (outputs, dim)."""
        self.dim(space)
        return {"linear": self.network.linear.weight}

    def program(self, space: str) -> Program:
        """The generator as a list of operations."""
        self.dim(space)
        return program(self.network, self.params.psi)

    def _run(self, codes: Codes, record: dict[str, Tensor]) -> Tensor:
        self.dim(codes.space)
        kind, labels = self.network.linear.weight.dtype, codes.labels
        labels = labels.to(kind) if labels is not None and labels.is_floating_point() else labels
        images: Tensor = self.network(codes.latents.to(kind), record, labels)
        return images


def load(path: Path, params: Params, device: torch.device) -> SNGAN:
    """The generator whose weights (safetensors in the layout of `networks`, facts in the header) are at `path`.

    Raises MissingFile, IntegrityError, or ValueError for other weights.
    """
    state = {name: t.float() if t.is_floating_point() else t for name, t in load_weights(path).items()}
    facts = read_facts(path)
    config = infer_config(state, **{name: facts[name] for name in FACTS if name in facts})
    network = unfilled(lambda: Generator(config))
    network.load_state_dict(state, assign=True)
    return SNGAN(network, facts.get("domain", "unknown"), params, device)
