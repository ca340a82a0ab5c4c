"""StyleGAN3 behind gdbench's `Generator` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, LayeredSpace, UsageError, load_weights, normal, read_facts, unfilled
from gdbench_stylegan3 import Params
from gdbench_stylegan3.networks import Dense, Generator, truncate
from gdbench_stylegan3.shapes import FACTS, infer_config
from gdbench_stylegan3.spaces import BASES, channels, padded


class StyleGAN3:
    """A loaded StyleGAN3, frozen; spaces w (default), z, w+ (one w for input and each layer, one after another) and s
    (style channels), and some layers of w, w+ and s, as w:0-3 (see `spaces`).

    Codes in z are mapped and truncated; all others are rendered as they are. `sample` outside z is truncated. Codes in
    w+ may also be (n, layers, w_dim).
    """

    spaces: tuple[str, ...] = BASES

    def __init__(self, network: Generator, domain: str, params: Params, device: torch.device) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.domain, self.device, self.params = domain, device, params
        self.image_shape = network.config.image_shape
        self.affines: dict[str, Dense] = {
            name.removesuffix(".affine"): module
            for name, module in self.network.synthesis.named_modules()
            if isinstance(module, Dense)
        }
        self.feature_layers = tuple(shape.name for shape in network.config.layers if not shape.rgb)

    def dim(self, space: str) -> int:
        """The dimension of a code in `space`. Raises UsageError where there is no such space."""
        found, config = self._space(space), self.network.config
        if found.base == "s":
            return sum(len(affine.bias) for affine in self._held(found).values())
        return {"z": config.z_dim, "w": config.w_dim, "w+": config.w_dim * len(found.layers)}[found.base]

    @torch.no_grad()
    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """`n` codes: z is standard normal, w its image under the (truncated) mapping, w+ the same w in all layers, s
        what the affines make of it."""
        found = self._space(space)
        codes = Codes(normal(rng, n, self.network.config.z_dim).to(self.device), "z", self._labels(n, rng))
        if space == "z":
            return codes
        if found.base == "w" and self._cutoff_matters:
            raise UsageError("with a cutoff, truncated codes differ per layer: sample in z or w+, or unset it")
        mapped = self.map(codes)
        if found.base == "w":
            return replace(mapped, space=space)
        ws = self._styles(mapped)
        parts = [ws[:, layer] for layer in found.layers]
        if found.base == "s":
            parts = [affine(w) for affine, w in zip(self._held(found).values(), parts, strict=True)]
        return Codes(torch.cat(parts, 1), space, mapped.labels, mapped.origin)

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
        return self._synthesised(codes, None)

    def features(self, codes: Codes, layer: str) -> Tensor:
        """What a layer gives, (n, c, side, side); sides have a margin around the image in all but the last two."""
        if layer not in self.feature_layers:
            raise UsageError(f"no layer {layer!r}; layers: {', '.join(self.feature_layers)}")
        record: dict[str, Tensor] = {}
        self._synthesised(codes, record)
        return record[layer]

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """In w and w+ the affines (outputs, dim) of its layers, the input's transform among them, in z the mapping's
        first layer; in s none: there the convolutions themselves act."""
        if space == "z":
            fc0 = self.network.mapping.get_submodule("fc0")
            return {"mapping.fc0": self._scaled(fc0)[:, : self.dim("z")]}
        found = self._space(space)
        if found.base == "s":
            return {}
        weights = {name: self._scaled(affine) for name, affine in self._held(found).items()}
        return weights if found.base == "w" else padded(found, weights)

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
        """Codes of any space but s as one w per layer: (n, layers, w_dim)."""
        space = self._space(codes.space)
        if space.base == "z" or (space.base == "w" and not space.partial):
            w = self.map(codes).latents if space.base == "z" else codes.latents.to(self._kind)
            return truncate(w, self.network.mapping.w_avg, self.network.config.style_layers)
        return space.styles(codes.latents.to(self._kind), self._whole(codes) if space.partial else None)

    def _synthesised(self, codes: Codes, record: dict[str, Tensor] | None) -> Tensor:
        space, styles = self._space(codes.space), None
        if space.base == "s":
            whole = self._whole(codes) if space.partial else None
            styles = channels(space, list(self.affines.values()), codes.latents.to(self._kind), whole)
            ws = codes.latents.new_zeros(len(codes), space.count, 0)
        else:
            ws = self._styles(codes)
        images: Tensor = self.network.synthesis(ws, record, styles=styles)
        return images

    def _whole(self, codes: Codes) -> Tensor:
        """One w per layer of the sampled codes, before they were moved in some layers."""
        if codes.origin is None:
            raise UsageError(f"codes in {codes.space} need the z that they were sampled from, for their other layers")
        return self._styles(Codes(codes.origin, "z", codes.labels))

    def _space(self, name: str) -> LayeredSpace:
        return LayeredSpace.of(name, self.network.config.style_layers, "stylegan3", BASES)

    def _held(self, space: LayeredSpace) -> dict[str, Dense]:
        """The affines of the layers that codes in a space hold, by name."""
        return {name: affine for i, (name, affine) in enumerate(self.affines.items()) if i in space.layers}

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
