"""Generators and domains with a planted fault, which a metric must see (or, where truth is gone, must not see)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, Domain, Factor, Generator, Oracle, Stream, load_domain, load_generator, normal

QUIET = 3.0  # prior deviations of the last latent up to which a picture is clean
BANK = 509  # images for which shuffled oracles answer; a prime, so that no period of the pixels meets it
NOISE = 0.1  # amplitude that each further deviation adds


@dataclass(frozen=True)
class ShuffledOracle:
    """An oracle that answers for another image: one of a bank, which the pixels choose. What it embeds is true.

    Another image of the same batch would not do: it is often edited along the same direction, and what all images share
    survives. bank: readings of real images by the true oracle, (m,) or (m, classes) each.
    """

    true: Oracle
    bank: Mapping[str, Tensor]

    @property
    def passed(self) -> Mapping[str, bool]:
        """The true oracle's: a metric must not be saved by this gate."""
        return self.true.passed

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """Factors of other images; both oracles agree on which."""
        size = len(next(iter(self.bank.values())))
        chosen = (1e4 * images.double().abs().flatten(1).sum(1)).long() % size
        return {name: values.to(images.device)[chosen] for name, values in self.bank.items()}

    def embed(self, images: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """The true maps and features."""
        return self.true.embed(images)

    def mask(self, images: Tensor) -> Tensor:
        """Masks of other images."""
        return self.true.mask(images).roll(_places(images), 0)


def _places(images: Tensor) -> int:
    """By how many places masks are shuffled: their pixels decide, so that both oracles agree."""
    return 1 + int(1e3 * float(images.double().abs().sum())) % max(len(images) - 1, 1)


@dataclass(frozen=True)
class ShuffledDomain:
    """A domain in which every truth, told by oracles or exact, is that of another image."""

    true: Domain

    @property
    def name(self) -> str:
        """The name of its spec."""
        return f"{self.true.name}-shuffled"

    @property
    def distance(self) -> str:
        """The true one."""
        return self.true.distance

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The true ones."""
        return self.true.factors

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """The true images."""
        return self.true.images(n, rng)

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Images with the masks of others."""
        images, masks = self.true.pairs(n, rng)
        return images, masks.roll(1, 0)

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Images with the factors of others."""
        images, factors = self.true.truth(n, rng)
        return images, {name: values.roll(1, 0) for name, values in factors.items()}

    def oracle(self, which: Literal["a", "b"]) -> Oracle:
        """Both shuffle alike, so that they still agree with one another."""
        true = self.true.oracle(which)
        bank = true.read(self.true.images(BANK, Stream(0, "acceptance/bank").at()))
        return ShuffledOracle(true, bank)


@dataclass(frozen=True, eq=False)
class Spoiled:
    """A generator in one space of its base, of which the last ``noise`` latents are not the base's.

    Each of them is standard normal and adds ``pattern`` (c, h, w) to the image, NOISE for every deviation beyond QUIET.
    """

    base: Generator
    space: str
    domain: str
    noise: int
    pattern: Tensor

    @property
    def spaces(self) -> tuple[str, ...]:
        """The one space."""
        return (self.space,)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The base's."""
        return self.base.image_shape

    @property
    def device(self) -> torch.device:
        """The base's."""
        return self.base.device

    def dim(self, space: str) -> int:
        """The base's, and the noise."""
        return self.base.dim(space) + self.noise

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """The base's codes, and the noise."""
        codes = self.base.sample(n, space, rng)
        extra = normal(rng, n, self.noise).to(codes.latents)
        return replace(codes, latents=torch.cat([codes.latents, extra], 1))

    def render(self, codes: Codes) -> Tensor:
        """The base's images, with noise where a code leaves the prior along the last latents."""
        dim = self.base.dim(self.space)
        clean = self.base.render(replace(codes, latents=codes.latents[:, :dim]))
        loud = NOISE * (codes.latents[:, dim:].abs() - QUIET).clamp_min(0).sum(1)
        return clean + loud[:, None, None, None] * self.pattern.to(clean)


def renamed(base: str, space: str, device: torch.device) -> Spoiled:
    """The base as it is, in the domain whose truth is shuffled."""
    true = load_generator(base, device=str(device))
    return Spoiled(true, space, f"{true.domain}-shuffled", 0, torch.zeros(true.image_shape))


def noisy(base: str, space: str, device: torch.device) -> Spoiled:
    """The base with one latent of noise."""
    true = load_generator(base, device=str(device))
    return Spoiled(true, space, true.domain, 1, normal(Stream(0, "acceptance/noise").at(), *true.image_shape))


def shuffled(domain: str, device: torch.device) -> ShuffledDomain:
    """The domain with shuffled truth."""
    return ShuffledDomain(load_domain(domain, str(device)))
