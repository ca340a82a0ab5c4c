"""How a small StyleGAN2 is trained: non-saturating logistic loss, lazy R1 and path length, Adam, as in the paper."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from gdbench import normal
from gdbench_stylegan2.discriminator import Discriminator
from gdbench_stylegan2.networks import Config, Generator, truncate


@dataclass(frozen=True)
class Recipe:
    """Networks, losses and schedule; steps count batches, `rate` is a multiplier of the learning rate."""

    label: None = None
    resolution: int = 32
    latent_dim: int = 128
    widths: tuple[int, ...] = (96, 64, 40, 24)
    discriminator_widths: tuple[int, ...] = (16, 40, 64, 96)
    mapping_layers: int = 4
    batch: int = 16
    learning_rate: float = 2.5e-3
    r1: float = 0.05
    r1_every: int = 16
    path_weight: float = 2.0
    path_every: int = 8
    path_batch: int = 8
    average: float = 0.999

    def generator(self) -> Generator:
        """A new generator without noise inputs: noise could carry content that no latent controls."""
        dim = self.latent_dim
        return Generator(Config(self.widths, dim, dim, self.mapping_layers, noise=False))

    def discriminator(self) -> Discriminator:
        """A new discriminator."""
        return Discriminator(self.discriminator_widths)

    def optimisers(self, generator: Generator, discriminator: Discriminator) -> tuple[Optimizer, Optimizer]:
        """Adam of the generator and of the discriminator."""
        nets = generator, discriminator
        first, second = (Adam(net.parameters(), self.learning_rate, betas=(0.0, 0.99), fused=True) for net in nets)
        return first, second

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
        generator.mapping.w_avg.lerp_(w.detach().mean(0), 0.005)
        fakes = generator.synthesis(truncate(w, generator.mapping.w_avg, generator.config.style_layers))
        shown = self._discriminate(discriminator, optimisers[1], reals, fakes.detach(), step % self.r1_every == 0)
        discriminator.requires_grad_(False)
        optimisers[0].zero_grad()
        loss = softplus(-discriminator(fakes)).mean()
        torch.autograd.backward(loss)
        shown["g"] = loss.detach()
        if step % self.path_every == 0:
            shown["path"] = self._path_length(generator, discriminator.path_length, rng)
        optimisers[0].step()
        discriminator.requires_grad_(True)
        return shown

    @torch.no_grad()
    def settle(self, generator: Generator, rng: np.random.Generator) -> None:
        """Set the mean of w to that of the averaged mapping, over 20,000 latents."""
        generator.mapping.w_avg.copy_(generator.mapping(normal(rng, 20_000, self.latent_dim)).mean(0))

    def facts(self) -> dict[str, Any]:
        """What the weights do not tell."""
        return {"lr_multiplier": 0.01, "conv_clamp": None}

    def _discriminate(
        self, net: Discriminator, optimiser: Optimizer, reals: Tensor, fakes: Tensor, regularise: bool
    ) -> dict[str, Tensor]:
        reals = reals.requires_grad_(regularise)
        real, fake = net(torch.cat([reals, fakes])).chunk(2)
        loss = softplus(-real).mean() + softplus(fake).mean()
        shown = {"d": loss.detach(), "real": real.detach().mean(), "fake": fake.detach().mean()}
        if regularise:  # R1 of Mescheder et al. 2018, weighted up because it is applied lazily (section 3.1)
            (slope,) = torch.autograd.grad(real.sum(), reals, create_graph=True)
            penalty = slope.square().sum((1, 2, 3)).mean()
            loss = loss + penalty * (self.r1 / 2 * self.r1_every)
            shown["r1"] = penalty.detach()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        return shown

    def _path_length(self, generator: Generator, average: Tensor, rng: np.random.Generator) -> Tensor:
        """Add the gradient of the path length penalty (equation 4), on a smaller batch."""
        w = generator.mapping(normal(rng, self.path_batch, self.latent_dim))
        ws = truncate(w, generator.mapping.w_avg, generator.config.style_layers)
        images = generator.synthesis(ws)
        directions = normal(rng, *images.shape) / self.resolution
        (slope,) = torch.autograd.grad((images * directions).sum(), ws, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        average.lerp_(lengths.detach().mean(), 0.01)
        penalty = (lengths - average).square().mean()
        torch.autograd.backward(penalty * (self.path_weight * self.path_every))
        return lengths.detach().mean()
