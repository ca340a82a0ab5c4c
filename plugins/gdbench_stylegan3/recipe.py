"""How a small StyleGAN3 is trained: non-saturating logistic loss, lazy R1, Adam, no path length, as in the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from gdbench import normal
from gdbench_stylegan3.design import Design
from gdbench_stylegan3.discriminator import Discriminator
from gdbench_stylegan3.networks import Generator, truncate
from gdbench_stylegan3.shapes import FACTS

HALF_LIFE = 20_000  # images after which half of a running magnitude is forgotten


@dataclass(frozen=True)
class Recipe:
    """Networks, losses and schedule; steps count batches, `rate` is a multiplier of the learning rate.

    Config t; `kernel` 1 with `radial` filters is config r.
    """

    label: None = None
    resolution: int = 32
    latent_dim: int = 64
    layers: int = 5
    margin: int = 2
    kernel: int = 3
    radial: bool = False
    channel_base: int = 384
    channel_max: int = 40
    discriminator_widths: tuple[int, ...] = (12, 24, 48, 64)
    mapping_layers: int = 2
    batch: int = 16
    generator_rate: float = 2.5e-3
    discriminator_rate: float = 2e-3
    r1: float = 0.05
    r1_every: int = 16
    average: float = 0.998

    def design(self) -> Design:
        """The design of the generator."""
        return Design(
            resolution=self.resolution,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            kernel=self.kernel,
            radial=self.radial,
            layers=self.layers,
            margin=self.margin,
            z_dim=self.latent_dim,
            w_dim=self.latent_dim,
            mapping_layers=self.mapping_layers,
            conv_clamp=None,  # half precision alone needs it
        )

    def generator(self) -> Generator:
        """A new generator."""
        return self.design().generator()

    def discriminator(self) -> Discriminator:
        """A new discriminator."""
        return Discriminator(self.discriminator_widths)

    def optimisers(self, generator: Generator, discriminator: Discriminator) -> tuple[Optimizer, Optimizer]:
        """Adam of the generator and of the discriminator."""
        first = Adam(generator.parameters(), self.generator_rate, betas=(0.0, 0.99), fused=True)
        return first, Adam(discriminator.parameters(), self.discriminator_rate, betas=(0.0, 0.99), fused=True)

    def rate(self, progress: float) -> float:
        """Constant, then linear to a tenth over the last fifth."""
        return min(1.0, max(0.1, (1 - progress) / 0.2))

    def inputs(self, n: int, rng: np.random.Generator) -> tuple[Tensor]:
        """Latents (n, latent_dim): what a generator takes."""
        return (normal(rng, n, self.latent_dim),)

    def update(
        self,
        generator: Generator,
        discriminator: Discriminator,
        optimisers: tuple[Optimizer, Optimizer],
        reals: Tensor,
        step: int,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """One step of each player on the same fakes; returns what the log shows."""
        w = generator.mapping(normal(rng, self.batch, self.latent_dim))
        generator.mapping.w_avg.lerp_(w.detach().mean(0), 0.002)
        ws = truncate(w, generator.mapping.w_avg, generator.config.style_layers)
        fakes = generator.synthesis(ws, keep=0.5 ** (self.batch / HALF_LIFE))
        shown = self._discriminate(discriminator, optimisers[1], reals, fakes.detach(), step % self.r1_every == 0)
        discriminator.requires_grad_(False)
        optimisers[0].zero_grad()
        loss = softplus(-discriminator(fakes)).mean()
        torch.autograd.backward(loss)
        optimisers[0].step()
        discriminator.requires_grad_(True)
        return shown | {"g": loss.detach()}

    @torch.no_grad()
    def settle(self, generator: Generator, rng: np.random.Generator) -> None:
        """Set the mean of w to that of the averaged mapping, over 20,000 latents."""
        generator.mapping.w_avg.copy_(generator.mapping(normal(rng, 20_000, self.latent_dim)).mean(0))

    def facts(self) -> dict[str, Any]:
        """What the weights do not tell."""
        config = self.design().config()
        return {name: getattr(config, name) for name in FACTS if hasattr(config, name)}

    def _discriminate(
        self, net: Discriminator, optimiser: Optimizer, reals: Tensor, fakes: Tensor, regularise: bool
    ) -> dict[str, Tensor]:
        reals = reals.requires_grad_(regularise)
        real, fake = net(torch.cat([reals, fakes])).chunk(2)
        loss = softplus(-real).mean() + softplus(fake).mean()
        shown = {"d": loss.detach(), "real": real.detach().mean(), "fake": fake.detach().mean()}
        if regularise:  # R1 of Mescheder et al. 2018, weighted up because it is applied lazily
            (slope,) = torch.autograd.grad(real.sum(), reals, create_graph=True)
            penalty = slope.square().sum((1, 2, 3)).mean()
            loss = loss + penalty * (self.r1 / 2 * self.r1_every)
            shown["r1"] = penalty.detach()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        return shown
