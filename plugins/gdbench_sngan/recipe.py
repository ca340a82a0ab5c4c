"""How a small SNGAN is trained: hinge loss, spectral norm in the discriminator, Adam with two learning rates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.optim import Adam, Optimizer

from gdbench import normal
from gdbench_sngan.networks import Config, Discriminator, Generator


@dataclass(frozen=True)
class Recipe:
    """Networks, losses and schedule; steps count batches, `rate` is a multiplier of the learning rate."""

    label: None = None
    image_channels: int = 3
    resolution: int = 32
    latent_dim: int = 128
    widths: tuple[int, ...] = (128, 80, 40, 16)
    discriminator_widths: tuple[int, ...] = (16, 40, 80, 128)
    batch: int = 32
    generator_rate: float = 4e-4
    discriminator_rate: float = 8e-4
    average: float = 0.999
    settle_batches: int = 32

    def generator(self) -> Generator:
        """A new generator, with the paper's Glorot initialisation."""
        config = Config(self.widths, self.latent_dim, (1,) * (len(self.widths) - 1), image_channels=self.image_channels)
        return Generator(config).apply(_glorot)

    def discriminator(self) -> Discriminator:
        """A new discriminator."""
        return Discriminator(self.discriminator_widths, self.image_channels)

    def optimisers(self, generator: Generator, discriminator: Discriminator) -> tuple[Optimizer, Optimizer]:
        """Adam of the generator and of the discriminator (which learns twice as fast, Heusel et al. 2017)."""
        return (
            Adam(generator.parameters(), self.generator_rate, betas=(0.0, 0.9), fused=True),
            Adam(discriminator.parameters(), self.discriminator_rate, betas=(0.0, 0.9), fused=True),
        )

    def rate(self, progress: float) -> float:
        """Constant, then linear to zero over the second half."""
        return min(1.0, max(0.0, 2 * (1 - progress)))

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
        fakes = generator(*self.inputs(self.batch, rng))
        real, fake = discriminator(torch.cat([reals, fakes.detach()])).chunk(2)
        loss = relu(1 - real).mean() + relu(1 + fake).mean()
        optimisers[1].zero_grad()
        torch.autograd.backward(loss)
        optimisers[1].step()
        discriminator.requires_grad_(False)
        optimisers[0].zero_grad()
        torch.autograd.backward(-discriminator(fakes).mean())
        optimisers[0].step()
        discriminator.requires_grad_(True)
        return {"d": loss.detach(), "real": real.detach().mean(), "fake": fake.detach().mean()}

    @torch.no_grad()
    def settle(self, generator: Generator, rng: np.random.Generator) -> None:
        """Replace the batch-norm statistics by means over fresh batches: averaged weights have none of their own."""
        norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative mean
        generator.train()
        for _ in range(self.settle_batches):
            generator(*self.inputs(2 * self.batch, rng))
        generator.eval()

    def facts(self) -> dict[str, Any]:
        """What the weights do not tell."""
        return {"upsampling": "nearest"}


def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
