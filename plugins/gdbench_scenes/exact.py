"""A plugin file: the renderer as a generator, whose latents are the factors. Its edits are exact: the ceiling.

Never installed, so never listed: ``gdbench run --plugin plugins/gdbench_scenes/exact.py --gan scenes-exact ...``. It
has no gradient. A standard normal latent z sets a linear factor at the quantile Phi(z) of its range, a class likewise,
and turns a circular factor by z / 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gdbench import GeneratorSpec, NoParams, hookimpl

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from gdbench import Codes


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer the renderer."""
    summary = "the renderer of scenes; one latent for each factor, so that edits are exact"
    yield GeneratorSpec(name="scenes-exact", summary=summary, load=load, spaces=("z",), domain="scenes")


class Exact:
    """Latents (n, 11) in the order of the domain's factors; ``planted`` (11, 11) are the directions of the factors."""

    spaces = ("z",)
    image_shape = (3, 32, 32)
    domain = "scenes"

    def __init__(self, device: torch.device) -> None:
        import torch

        from gdbench_scenes.factors import FACTORS

        self.device, self.factors = device, FACTORS
        self.planted = torch.eye(len(FACTORS))

    def dim(self, space: str) -> int:
        """One for each factor."""
        return len(self.factors)

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """Standard normal codes."""
        from gdbench import Codes, normal

        return Codes(normal(rng, n, len(self.factors)).to(self.device), space)

    def render(self, codes: Codes) -> Tensor:
        """Scenes of these factors."""
        import torch

        from gdbench_scenes.factors import RANGES
        from gdbench_scenes.render import SHAPES, SceneFactors, render

        latents = codes.latents.detach().cpu()
        quantiles = torch.special.ndtr(latents.double()).numpy()
        values = {}
        for j, factor in enumerate(self.factors):
            if factor.kind == "class":
                values[factor.name] = (quantiles[:, j] * len(SHAPES)).clip(0, len(SHAPES) - 1).astype("int64")
            elif factor.kind == "circular":
                values[factor.name] = (latents[:, j].numpy() / 4 % 1).astype("float32")
            else:
                low, high = RANGES[factor.name]
                values[factor.name] = (low + (high - low) * quantiles[:, j]).astype("float32")
        return torch.from_numpy(render(SceneFactors(**values), 32)[0]).to(self.device)


def load(path: Path | None, params: NoParams, device: torch.device) -> Exact:
    """The renderer; images come on ``device``."""
    return Exact(device)
