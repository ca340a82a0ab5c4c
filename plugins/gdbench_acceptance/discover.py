"""The directions that metrics are tried on: one set, and what a metric must not mind or must mind about it."""

from __future__ import annotations

import torch
from torch import Tensor

from gdbench import (
    Context,
    Generator,
    LinearDirections,
    NoParams,
    PluginError,
    Stream,
    integers,
    moments,
    normal,
    steering,
    uniform,
)
from gdbench_acceptance.directions import Paths

BEND = 3.0  # prior deviations after which a bent path is as far aside as ahead
LENGTHS = (1.0, 3.0)  # lengths of scrambled directions
DEGRADE = 2.0  # deviations along the noise for each one along a degrading direction
LABELLED = 5000  # images from which guided directions are made
IMAGES, BACKWARD = 48, 16  # what ``bent`` costs, counted by hand


def fixed_random(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """K random directions, orthonormal in whitened coordinates, the same at every seed."""
    return _straight(_rows(generator, context), generator, context)


def scrambled(generator: Generator, params: NoParams, context: Context) -> Paths:
    """The fixed random directions in an order, with signs and lengths that the seed draws."""
    straight = fixed_random(generator, params, context)
    rng = context.stream("discover").at()
    order = torch.from_numpy(rng.permutation(context.k))
    factor = uniform(rng, *LENGTHS, context.k) * (1.0 - 2.0 * integers(rng, 2, context.k))
    assert straight.unit is not None
    return Paths(straight.vectors[order] * factor[:, None], context.space, straight.unit[order] / factor.abs())


def half_dead(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """The first half of the fixed random directions, and zeros."""
    straight = fixed_random(generator, params, context)
    vectors = straight.vectors.clone()
    vectors[context.k // 2 :] = 0
    return LinearDirections(vectors, context.space, straight.unit)


def bent(generator: Generator, params: NoParams, context: Context) -> Paths:
    """The fixed random directions, each bent towards the next one.

    Renders IMAGES images, BACKWARD of them with gradient.
    """
    straight = fixed_random(generator, params, context)
    assert straight.unit is not None
    aside = straight.vectors.roll(1, 0) * (straight.unit.roll(1) / straight.unit.square() / BEND)[:, None]
    _spend(generator, context)
    return Paths(straight.vectors, context.space, straight.unit, aside)


def swapped_by_code(generator: Generator, params: NoParams, context: Context) -> Paths:
    """The fixed random directions, + and - of which look alike: each code's own coin swaps them."""
    straight = fixed_random(generator, params, context)
    assert straight.unit is not None
    return Paths(straight.vectors, context.space, straight.unit, swapped_by_code=True)


def degrading(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """Fixed random directions of all but the last latent, each with DEGRADE times as much of that."""
    rows = _rows(generator, context)
    rows[:, -1] = 0
    straight = _straight(rows, generator, context)
    assert straight.unit is not None
    vectors = straight.vectors * straight.unit[:, None]
    vectors[:, -1] = DEGRADE
    return LinearDirections(vectors, context.space, straight.unit)


def guided(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """Steering directions of the domain's factors by true labels, even where the domain's truth is shuffled.

    Fixed random directions follow where there are fewer factors than K.
    """
    domain = getattr(context.domain, "true", context.domain)
    if domain is None or not domain.factors:
        raise PluginError("guided: the domain has no factors")
    codes = generator.sample(LABELLED, context.space, context.stream("discover").at())
    with torch.no_grad():
        parts = [domain.oracle("a").read(generator.render(chunk).clamp(-1, 1)) for chunk in codes.chunks(250)]
    readings = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    found = [steering(factor, codes.latents, readings, domain.factors) for factor in domain.factors]
    vectors = torch.cat([*found, fixed_random(generator, params, context).vectors])
    return LinearDirections(vectors[: context.k], context.space)


def planted(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """The directions that were planted in the generator."""
    rows: Tensor = generator.planted  # type: ignore[attr-defined]
    return LinearDirections(rows[: context.k], context.space)


def _rows(generator: Generator, context: Context) -> Tensor:
    matrix = normal(Stream(0, "acceptance/steady").at(), generator.dim(context.space), context.k).double()
    rows: Tensor = torch.linalg.qr(matrix).Q.T
    return rows


def _straight(rows: Tensor, generator: Generator, context: Context) -> LinearDirections:
    vectors = rows if context.space == "z" else rows @ moments(generator, context.space).root()
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def _spend(generator: Generator, context: Context) -> None:
    codes = generator.sample(IMAGES, context.space, context.stream("discover").of("spent").at())
    generator.render(codes[BACKWARD:])
    codes.latents.requires_grad_()
    torch.autograd.backward(generator.render(codes[:BACKWARD]).mean())
