"""A plugin file: the directions, generators and domains that metrics are tried on. Never installed, so never listed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gdbench import DomainSpec, GeneratorSpec, MethodSpec, NoParams, hookimpl
from gdbench_acceptance.params import LadderParams, ReplayParams

if TYPE_CHECKING:
    import torch

    from gdbench import Domain, Generator

BASES = {"sngan": ("scenes", "z"), "stylegan2": ("scenes", "w"), "toy": ("toy", "z")}
"""Generator -> its domain, and the space in which methods work by default."""

DIRECTIONS = {
    "fixed-random": "random directions, the same at every seed: seeds repeat the measurement only",
    "scrambled": "the fixed random directions in another order, with other signs and lengths",
    "half-dead": "the first half of the fixed random directions, and as many that do nothing",
    "bent": "the fixed random directions, each bent towards another one; renders 48 images, 16 with gradient",
    "swapped-by-code": "the fixed random directions, but for each code a coin decides which side is +",
    "degrading": "the fixed random directions, each with a step along the last latent, which is noise",
    "half-nearly-dead": "the fixed random directions, half of which end just before they are visible enough",
    "guided": "steering directions of the factors by true labels, even where the domain's truth is shuffled",
    "planted": "the directions that were planted in the toy",
}


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer directions without a merit of their own."""
    for name, summary in DIRECTIONS.items():
        discover = f"gdbench_acceptance.discover:{name.replace('-', '_')}"
        needs = ("domain",) if name in ("guided", "half-nearly-dead") else ()
        yield MethodSpec(name=name, summary=summary, discover=discover, needs=needs, role="control")
    yield MethodSpec(
        name="replayed",
        summary="the directions of a finished run: seeds repeat the measurement only",
        discover="gdbench_acceptance.discover:replayed",
        params=ReplayParams,
        deterministic=True,
    )
    yield MethodSpec(
        name="ladder",
        summary="the directions of a finished run, spoiled step by step",
        discover="gdbench_acceptance.discover:ladder",
        params=LadderParams,
        role="control",
    )


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer each base with shuffled truth, and with a latent of noise."""
    for base, (domain, space) in BASES.items():
        yield GeneratorSpec(
            name=f"{base}-shuffled",
            summary=f"{base}, in a domain whose oracles answer for another image",
            load=partial(_shuffled, base),
            spaces=(space,),
            domain=f"{domain}-shuffled",
        )
        yield GeneratorSpec(
            name=f"{base}-noisy",
            summary=f"{base} with one more latent, which adds noise to the image beyond 3 prior deviations",
            load=partial(_noisy, base),
            spaces=(space,),
            domain=domain,
        )


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer the domains whose truth is shuffled."""
    for domain in sorted({domain for domain, _ in BASES.values()}):
        yield DomainSpec(
            name=f"{domain}-shuffled",
            summary=f"{domain}, with factors and masks that belong to another image",
            load=partial(_shuffled_domain, domain),
            offers=("factors", "masks", "images"),
        )


def _shuffled(base: str, path: Path | None, params: NoParams, device: torch.device) -> Generator:
    from gdbench_acceptance.spoiled import renamed

    return renamed(base, BASES[base][1], device)


def _noisy(base: str, path: Path | None, params: NoParams, device: torch.device) -> Generator:
    from gdbench_acceptance.spoiled import noisy

    return noisy(base, BASES[base][1], device)


def _shuffled_domain(domain: str, device: torch.device) -> Domain:
    from gdbench_acceptance.spoiled import shuffled

    return shuffled(domain, device)
