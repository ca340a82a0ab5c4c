"""How a small BigGAN is trained: hinge loss, spectral norm in both players, orthogonal weights at first, Adam."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized
from torch.optim import Adam, Optimizer

from gdbench import integers, normal
from gdbench_biggan.discriminator import Discriminator
from gdbench_biggan.networks import Config, Generator, build

Batch = tuple[Tensor, Tensor]
"""Images (n, c, r, r) and their class indices (n,)."""


@dataclass(frozen=True)
class Recipe:
    """Networks, losses and schedule; steps count batches, `rate` is a multiplier of the learning rates.

    label: the factor of the domain, of kind "class", that is the class of an image. latent_dim: one slot for the first
    layer and one a block.
    """

    label: str = "shape"
    classes: int = 4
    class_dim: int = 32
    latent_dim: int = 80
    widths: tuple[int, ...] = (128, 80, 40, 16)
    discriminator_widths: tuple[int, ...] = (16, 40, 80, 128)
    batch: int = 32
    generator_rate: float = 4e-4
    discriminator_rate: float = 8e-4
    average: float = 0.999
    settle_batches: int = 32

    def generator(self) -> Generator:
        """A new generator under spectral norm."""
        blocks = len(self.widths) - 1
        up = tuple(range(blocks))
        network = Generator(Config(self.widths, self.latent_dim, self.classes, self.class_dim, blocks + 1, up))
        for module in list(network.modules()):
            if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
                nn.init.orthogonal_(module.weight)
            if isinstance(module, nn.Linear | nn.Conv2d):
                spectral_norm(module)
        return network

    def discriminator(self) -> Discriminator:
        """A new discriminator."""
        return Discriminator(self.discriminator_widths, self.classes)

    def optimisers(self, generator: Generator, discriminator: Discriminator) -> tuple[Optimizer, Optimizer]:
        """Adam of the generator and of the discriminator, which learns faster instead of more often as in the paper."""
        return (
            Adam(generator.parameters(), self.generator_rate, betas=(0.0, 0.999), eps=1e-6, fused=True),
            Adam(discriminator.parameters(), self.discriminator_rate, betas=(0.0, 0.999), eps=1e-6, fused=True),
        )

    def rate(self, progress: float) -> float:
        """Constant, then linear to zero over the second half."""
        return min(1.0, max(0.0, 2 * (1 - progress)))

    def inputs(self, n: int, rng: np.random.Generator) -> Batch:
        """Latents (n, latent_dim) and uniform class indices (n,): what a generator takes."""
        return normal(rng, n, self.latent_dim), integers(rng, self.classes, n)

    def update(
        self,
        generator: Generator,
        discriminator: Discriminator,
        optimisers: tuple[Optimizer, Optimizer],
        reals: Batch,
        step: int,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        """One step of each player on the same fakes; returns what the log shows."""
        z, labels = self.inputs(self.batch, rng)
        fakes = generator(z, labels)
        images, classes = reals
        both = torch.cat([images, fakes.detach()]), torch.cat([classes, labels])
        real, fake = discriminator(*both).chunk(2)
        loss = relu(1 - real).mean() + relu(1 + fake).mean()
        optimisers[1].zero_grad()
        torch.autograd.backward(loss)
        optimisers[1].step()
        discriminator.requires_grad_(False)
        optimisers[0].zero_grad()
        torch.autograd.backward(-discriminator(fakes, labels).mean())
        optimisers[0].step()
        discriminator.requires_grad_(True)
        return {"d": loss.detach(), "real": real.detach().mean(), "fake": fake.detach().mean()}

    @torch.no_grad()
    def settle(self, generator: Generator, rng: np.random.Generator) -> None:
        """Divide spectral norms out, then take standing statistics: means over fresh batches (appendix B)."""
        for name, part in build(plain_state(generator.eval()), **self.facts()).named_children():
            setattr(generator, name, part)
        for module in generator.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # cumulative mean
        generator.train()
        for _ in range(self.settle_batches):
            generator(*self.inputs(2 * self.batch, rng))
        generator.eval()

    def facts(self) -> dict[str, Any]:
        """What the weights do not tell."""
        return {"eps": 1e-5}


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict of the same network without parametrisations.

    (torch's remove_parametrizations would change every copy of the network: copies share their dynamic class.)
    """
    plain = {name: tensor for name, tensor in network.state_dict().items() if ".parametrizations." not in name}
    layers = ((name, module) for name, module in network.named_modules() if is_parametrized(module))
    return plain | {f"{name}.weight": module.weight for name, module in layers}
