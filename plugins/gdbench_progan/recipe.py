"""How a small ProGAN is grown, as in the paper: WGAN-GP with drift, equalised learning rate, resolutions faded in."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.parametrize import is_parametrized
from torch.optim import Adam, Optimizer

from gdbench import normal, uniform
from gdbench_progan.discriminator import Discriminator, equalise
from gdbench_progan.networks import Config, Generator, build, upsample


@dataclass(frozen=True)
class Recipe:
    """Networks, losses and schedule; steps count batches, `rate` is a multiplier of the learning rate.

    phase: steps of every fade and of every pause after it; the last pause lasts as long as the budget.
    """

    label: None = None
    latent_dim: int = 128
    widths: tuple[int, ...] = (96, 64, 40, 16)
    batch: int = 32
    learning_rate: float = 1e-3
    phase: int = 1000
    penalty: float = 10.0
    drift: float = 1e-3
    average: float = 0.999

    def generator(self) -> Generator:
        """A new generator, with a toRGB at every resolution."""
        network = Generator(Config(self.widths, self.latent_dim, tuple(range(len(self.widths)))))
        network.lod.fill_(self.lod(0))
        equalise(network.linear, fan_in=16 * self.latent_dim)
        for layers, gain in ((network.convs, math.sqrt(2)), (network.outputs.values(), 1.0)):
            for layer in layers:
                assert isinstance(layer, nn.Conv2d)
                equalise(layer, gain)
        return network

    def discriminator(self) -> Discriminator:
        """A new discriminator."""
        return Discriminator(self.widths)

    def optimisers(self, generator: Generator, discriminator: Discriminator) -> tuple[Optimizer, Optimizer]:
        """Adam of the generator and of the discriminator."""
        first, second = (
            Adam(net.parameters(), self.learning_rate, betas=(0.0, 0.99), fused=True)
            for net in (generator, discriminator)
        )
        return first, second

    def rate(self, progress: float) -> float:
        """Constant, then linear to zero over the last quarter: too short a training to only average (appendix A)."""
        return min(1.0, max(0.0, (1 - progress) / 0.25))

    def lod(self, step: int) -> float:
        """How many resolutions are left out at `step`: a pause at 4x4, then a fade and a pause for each."""
        phases = step / self.phase
        faded = sum(min(1.0, max(0.0, phases - 1 - 2 * level)) for level in range(len(self.widths) - 1))
        return len(self.widths) - 1 - faded

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
        lod = self.lod(step)
        generator.lod.fill_(lod)
        fakes = shrink(generator(*self.inputs(self.batch, rng), lod=lod), lod)
        shown = self._discriminate(
            discriminator, optimisers[1], blend(shrink(reals, lod), lod % 1), fakes.detach(), lod, rng
        )
        discriminator.requires_grad_(False)
        optimisers[0].zero_grad()
        loss = -discriminator(fakes, lod % 1).mean()
        torch.autograd.backward(loss)
        optimisers[0].step()
        discriminator.requires_grad_(True)
        return shown | {"g": loss.detach(), "lod": torch.tensor(lod)}

    def _discriminate(
        self,
        net: Discriminator,
        optimiser: Optimizer,
        reals: Tensor,
        fakes: Tensor,
        lod: float,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        fade = lod % 1
        real, fake = net(reals, fade), net(fakes, fade)
        between = torch.lerp(reals, fakes, uniform(rng, 0, 1, len(reals), 1, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(net(between, fade).sum(), between, create_graph=True)
        penalty = (slope.square().sum((1, 2, 3)).sqrt() - 1).square().mean()
        loss = fake.mean() - real.mean() + self.penalty * penalty + self.drift * real.square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        return {"d": (fake.mean() - real.mean()).detach(), "penalty": penalty.detach()}

    @torch.no_grad()
    def settle(self, generator: Generator, rng: np.random.Generator) -> None:
        """Fold the equalised learning rate into the weights."""
        for name, part in build(plain_state(generator), **self.facts()).named_children():
            setattr(generator, name, part)

    def facts(self) -> dict[str, Any]:
        """What the weights do not tell."""
        return {"normalisations": 1, "pixel_norm": True, "slope": 0.2, "tanh": False}


def shrink(images: Tensor, lod: float) -> Tensor:
    """Images averaged down to the finest resolution in use."""
    return avg_pool2d(images, 2 ** math.floor(lod)) if lod >= 1 else images


def blend(images: Tensor, fade: float) -> Tensor:
    """Real images as the fading generator draws them: a share `fade` of the next coarser resolution."""
    return torch.lerp(images, upsample(avg_pool2d(images, 2)), fade) if fade else images


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict of the same network without parametrisations.

    (torch's remove_parametrizations would change every copy of the network: copies share their dynamic class.)
    """
    plain = {name: tensor for name, tensor in network.state_dict().items() if ".parametrizations." not in name}
    layers = ((name, module) for name, module in network.named_modules() if is_parametrized(module))
    return plain | {f"{name}.weight": module.weight for name, module in layers}
