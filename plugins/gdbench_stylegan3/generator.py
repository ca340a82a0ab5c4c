"""StyleGAN3 behind gdbench's `Generator` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, UsageError, load_weights, normal, read_facts, unfilled
from gdbench_stylegan3 import Params
from gdbench_stylegan3.networks import Generator, truncate
from gdbench_stylegan3.shapes import FACTS, infer_config


class StyleGAN3:
    """A loaded StyleGAN3, frozen; spaces w (default), z, and w+ for codes (n, layers, dim), the input's w first.

    Codes in z are mapped and truncated; codes in w and w+ are rendered as they are. `sample` in w is truncated.
    """

    spaces: tuple[str, ...] = ("w", "z")

    def __init__(self, network: Generator, domain: str, params: Params, device: torch.device) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.domain, self.device, self.params = domain, device, params
        self.image_shape = network.config.image_shape
        self.feature_layers = tuple(shape.name for shape in network.config.layers if not shape.rgb)

    def dim(self, space: str) -> int:
        """The dimension of a code in `space`; in w+ that of one layer."""
        dims = {"w": self.network.config.w_dim, "w+": self.network.config.w_dim, "z": self.network.config.z_dim}
        if space not in dims:
            raise UsageError(f"stylegan3 has no space {space!r}; it has {', '.join(dims)}")
        return dims[space]

    @torch.no_grad()
    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """`n` codes: z is standard normal, w its image under the (truncated) mapping, w+ one w for all layers."""
        self.dim(space)
        codes = Codes(normal(rng, n, self.network.config.z_dim).to(self.device), "z", self._labels(n, rng))
        if space == "z":
            return codes
        if space == "w" and self._cutoff_matters:
            raise UsageError("with a cutoff, truncated codes differ per layer: sample in z or w+, or unset it")
        mapped = self.map(codes)
        return mapped if space == "w" else Codes(self._styles(mapped), "w+", mapped.labels, mapped.origin)

    def map(self, codes: Codes) -> Codes:
        """Codes in w of codes in z, truncated; in w+ where a cutoff makes layers differ."""
        if codes.space != "z":
            raise UsageError(f"the mapping takes codes in z, got {codes.space!r}")
        w = self.network.mapping(codes.latents.to(self._kind), self._one_hot(codes.labels))
        if not self._cutoff_matters:
            w_avg: Tensor = self.network.mapping.w_avg
            w = w if self.params.psi == 1 else w_avg.lerp(w, self.params.psi)
            return Codes(w, "w", codes.labels, codes.latents)
        layers = self.network.config.style_layers
        styles = truncate(w, self.network.mapping.w_avg, layers, self.params.psi, self.params.cutoff)
        return Codes(styles, "w+", codes.labels, codes.latents)

    def render(self, codes: Codes) -> Tensor:
        """Images (n, channels, height, width), nominally in [-1, 1], never clamped."""
        images: Tensor = self.network.synthesis(self._styles(codes))
        return images

    def features(self, codes: Codes, layer: str) -> Tensor:
        """What a layer gives, (n, c, side, side); sides have a margin around the image in all but the last two."""
        if layer not in self.feature_layers:
            raise UsageError(f"no layer {layer!r}; layers: {', '.join(self.feature_layers)}")
        record: dict[str, Tensor] = {}
        self.network.synthesis(self._styles(codes), record)
        return record[layer]

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """In w the affines of the input's transform and of all styles (in, dim), in z the mapping's first layer."""
        if space == "z":
            fc0 = self.network.mapping.get_submodule("fc0")
            return {"mapping.fc0": self._scaled(fc0)[:, : self.dim("z")]}
        self.dim(space)
        return {
            name.removesuffix(".affine"): self._scaled(module)
            for name, module in self.network.synthesis.named_modules()
            if name.endswith(".affine")
        }

    @property
    def _kind(self) -> torch.dtype:
        """The type of the weights, to which codes are cast: official scripts draw float64."""
        return self.network.mapping.w_avg.dtype

    @property
    def _cutoff_matters(self) -> bool:
        return self.params.psi != 1 and self.params.cutoff is not None

    @staticmethod
    def _scaled(dense: Any) -> Tensor:
        weight: Tensor = dense.weight
        scaled: Tensor = weight * (dense.lr / weight.shape[1] ** 0.5)
        return scaled

    def _styles(self, codes: Codes) -> Tensor:
        """Codes of any space as one w per layer: (n, layers, w_dim)."""
        self.dim(codes.space)
        w = self.map(codes).latents if codes.space == "z" else codes.latents.to(self._kind)
        return truncate(w, self.network.mapping.w_avg, self.network.config.style_layers)

    def _labels(self, n: int, rng: np.random.Generator) -> Tensor | None:
        classes = self.network.config.label_dim
        return torch.from_numpy(rng.integers(classes, size=n)).to(self.device) if classes else None

    def _one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Class indices (n,) as one-hot rows; soft class vectors stay."""
        if labels is None or labels.is_floating_point():
            return labels if labels is None else labels.to(self._kind)
        return torch.nn.functional.one_hot(labels, self.network.config.label_dim).to(self._kind)


def load(path: Path, params: Params, device: torch.device) -> StyleGAN3:
    """The generator whose weights (safetensors in the layout of `networks`, facts in the header) are at `path`.

    Raises MissingFile, IntegrityError, or ValueError for other weights.
    """
    state = {name: t.float() if t.is_floating_point() else t for name, t in load_weights(path).items()}
    facts = read_facts(path)
    config = infer_config(state, **{name: facts[name] for name in FACTS if name in facts})
    network = unfilled(lambda: Generator(config))
    network.load_state_dict(state, assign=True)
    return StyleGAN3(network, facts.get("domain", "unknown"), params, device)
