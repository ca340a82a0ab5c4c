"""The directions that metrics are tried on: one set, and what a metric must not mind or must mind about it."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from gdbench import (
    Calibration,
    Context,
    Directions,
    Generator,
    LinearDirections,
    NoParams,
    PluginError,
    Stream,
    UsageError,
    calibrate,
    integers,
    moments,
    normal,
    read_run,
    steering,
    uniform,
)
from gdbench_acceptance.directions import Paths
from gdbench_acceptance.params import STEPS, LadderParams, ReplayParams

BEND = 3.0  # prior deviations after which a bent path is as far aside as ahead
LENGTHS = (1.0, 3.0)  # lengths of scrambled directions
DEGRADE = 2.0  # deviations along the noise for each one along a degrading direction
NEARLY = 0.28  # visible change at which nearly dead directions end
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


def half_nearly_dead(generator: Generator, params: NoParams, context: Context) -> Paths:
    """The fixed random directions, half of which end at a visible change of NEARLY: just too little to be alive."""
    assert context.domain is not None
    straight = fixed_random(generator, params, context)
    assert straight.unit is not None
    prior, stream = moments(generator, context.space), context.stream("discover").of("nearly dead")
    curves = calibrate(generator, straight, context.domain.oracle("a"), prior, stream, codes=64)
    reach = curves.usable(NEARLY).amin(1)
    reach[: context.k // 2] = torch.inf
    return Paths(straight.vectors, context.space, straight.unit, reach=reach)


def replayed(generator: Generator, params: ReplayParams, context: Context) -> Directions:
    """The directions of a finished run: seeds repeat their evaluation only."""
    directions = read_run(Path(params.source)).directions
    if (len(directions), directions.space) != (context.k, context.space):
        raise UsageError(f"{params.source}: {len(directions)} directions in {directions.space}, asked: {context.k}")
    return directions


def ladder(generator: Generator, params: LadderParams, context: Context) -> LinearDirections:
    """The straight directions of a finished run, spoiled by ``step`` of STEPS (PROTOCOL, lens of validity).

    mixed: pairs of directions at equal visible change are turned into one another, up to 45 degrees, where each moves
    what both did. dead, copies, random: a growing part is replaced, the second direction first, the first last. turned:
    all are turned towards random directions by up to 90 degrees of latent angle.
    """
    run = read_run(Path(params.source))
    found = run.directions
    if not isinstance(found, LinearDirections) or (len(found), found.space) != (context.k, context.space):
        raise UsageError(f"{params.source}: a ladder starts from {context.k} straight directions in {context.space}")
    equal = Calibration.load(run.folder).usable().mean(1)[:, None] * found.vectors
    part, others = params.step / STEPS, fixed_random(generator, NoParams(), context).vectors
    if params.kind == "mixed":
        return LinearDirections(_mixed(equal, part * math.pi / 4), context.space)
    if params.kind == "turned":
        angle = torch.tensor(part * math.pi / 2)
        return LinearDirections(angle.cos() * found.vectors + angle.sin() * others, context.space)
    spoilt = {"dead": torch.zeros_like(equal), "copies": equal[:1].expand_as(equal), "random": others}[params.kind]
    order = [*range(1, context.k, 2), *range(2, context.k, 2), 0]
    rows, replaced = equal.clone(), order[: round(part * context.k)]
    rows[replaced] = spoilt[replaced]
    return LinearDirections(rows, context.space)


def _mixed(rows: Tensor, angle: float) -> Tensor:
    """Neighbours (0, 1), (2, 3), ... turned into one another; an odd last row stays."""
    mixed = rows.clone()
    pairs = len(rows) // 2 * 2
    first, second = rows[0:pairs:2], rows[1:pairs:2]
    mixed[0:pairs:2] = math.cos(angle) * first + math.sin(angle) * second
    mixed[1:pairs:2] = math.cos(angle) * second - math.sin(angle) * first
    return mixed


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
