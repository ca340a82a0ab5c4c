"""Inversion: codes of given images, by optimisation; and whether edits of such codes do what edits of samples do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.context import Context
from gdbench.evaluation.calibration import SIGNS, Calibration
from gdbench.evaluation.factors import turned, visible
from gdbench.evaluation.memory import BATCH, in_batches
from gdbench.evaluation.perception import Embedded, distance, embed
from gdbench.evaluation.prior import Moments
from gdbench.protocols import Directions, Factor, Generator, Oracle
from gdbench.training import falling, train

STARTS = 512
"""Samples of the prior among which the nearest to each image is the start."""
RATE = 0.05
"""Of Adam, in prior deviations along each axis."""
DECAY = 0.5
PRIOR = 0.01
"""Weight of the squared distance to the mean of the prior, in deviations and per dimension."""


@dataclass(frozen=True)
class Inverted:
    """Codes of images and how faithful they are.

    distance: (n,) the domain's distance of image and inversion, as a share of the median of two independent images.
    psnr: (n,) in dB of images in [-1, 1]. images: (n, c, h, w), what the codes render.
    """

    codes: Codes
    distance: Tensor
    psnr: Tensor
    images: Tensor


def invert(
    generator: Generator, oracle: Oracle, targets: Tensor, space: str, moments: Moments, steps: int, context: Context
) -> Inverted:
    """The codes in ``space`` of images (n, c, h, w) in [-1, 1] that have the generator's shape.

    Adam from the nearest of 512 samples, on the domain's distance and the mean squared difference of pixels, each as a
    share of what two independent images have, with a pull to the mean of the prior. It resumes by ``context.resume``.
    """
    targets = targets.to(generator.device)
    pool = generator.sample(STARTS, space, context.stream("invert").at())
    near = _nearest(generator, oracle, pool, targets)
    typical = near.typical
    start = pool[near.index]
    scale = moments.variances.clamp_min(0).sqrt().float().to(generator.device)
    mean = moments.mean.float().to(generator.device)
    moved = torch.zeros_like(start.latents, requires_grad=True)
    optimiser = torch.optim.Adam([moved], lr=RATE)
    with torch.no_grad():
        wanted = embed(oracle, targets)

    def losses(codes: Codes) -> tuple[Tensor, Tensor]:
        images = generator.render(codes)
        apart = distance(embed(oracle, images), wanted) / typical.distance
        pixels = (images - targets).square().flatten(1).mean(1) / typical.pixels
        return apart, apart + pixels

    def step(number: int) -> Tensor:
        optimiser.param_groups[0]["lr"] = RATE * falling(number, steps, DECAY)
        codes = replace(start, latents=start.latents + moved * scale)
        apart, loss = losses(codes)
        far = ((codes.latents - mean) / scale.clamp_min(1e-8)).square().mean(1)
        optimiser.zero_grad()
        (loss + PRIOR * far).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return torch.stack([loss.detach().mean(), apart.detach().mean()])

    train(context, steps, step, {"moved": moved, "optimiser": optimiser}, shown=("loss", "distance"))
    codes = replace(start, latents=(start.latents + moved * scale).detach())
    return _result(generator, oracle, codes, targets, typical.distance)


@dataclass(frozen=True)
class _Typical:
    """Medians over pairs of independent samples."""

    distance: float
    pixels: float


@dataclass(frozen=True)
class _Nearest:
    index: Tensor
    typical: _Typical


@torch.no_grad()
def _nearest(generator: Generator, oracle: Oracle, pool: Codes, targets: Tensor) -> _Nearest:
    """The sample nearest to each image, and how far samples are from one another."""
    images = torch.cat(list(in_batches(lambda here: generator.render(pool[here]), len(pool), BATCH)))
    maps = torch.cat(list(in_batches(lambda here: embed(oracle, images[here]).maps, len(pool), BATCH)))
    wanted = embed(oracle, targets).maps
    index = torch.stack([(maps - one).square().sum(1).argmin() for one in wanted])
    half = len(pool) // 2
    apart = float((maps[:half] - maps[half:]).square().sum(1).median())
    pixels = float((images[:half] - images[half:]).square().flatten(1).mean(1).median())
    return _Nearest(index, _Typical(max(apart, 1e-12), max(pixels, 1e-12)))


@torch.no_grad()
def _result(generator: Generator, oracle: Oracle, codes: Codes, targets: Tensor, typical: float) -> Inverted:
    images = generator.render(codes)
    here: Embedded = embed(oracle, images)
    apart = distance(here, embed(oracle, targets)) / typical
    squared = (images.clamp(-1, 1) - targets).square().flatten(1).mean(1)
    return Inverted(codes, apart.cpu(), 10 * torch.log10(4 / squared.clamp_min(1e-12)).cpu(), images.cpu())


@dataclass(frozen=True)
class Transfer:
    """How edits of inverted images compare with edits of samples, over directions, signs and factors.

    correlation: of the mean moves, in spreads of the samples. size: of those on inversions, as a share of those on
    samples (least squares through zero). moves: both (k, 2, factors), samples first.
    """

    correlation: float
    size: float
    moves: tuple[Tensor, Tensor]


@torch.no_grad()
def transfer(
    generator: Generator,
    directions: Directions,
    calibration: Calibration,
    oracle: Oracle,
    factors: Sequence[Factor],
    inverted: Codes,
    samples: Codes,
) -> Transfer | None:
    """Move both by every direction at the headline change; None where no factor is a number or a turn."""
    numbers = [factor for factor in factors if factor.kind != "class"]
    if not numbers:
        return None
    spreads = _spreads(oracle.read(generator.render(samples).clamp(-1, 1)), numbers)
    kept = [factor for factor in numbers if spreads[factor.name] > 0]

    def moves(codes: Codes) -> Tensor:
        return _moves(generator, directions, calibration, oracle, kept, factors, codes, spreads)

    on_samples, on_inverted = moves(samples), moves(inverted)
    both = on_samples.isfinite() & on_inverted.isfinite()
    x, y = on_samples[both], on_inverted[both]
    if len(x) < 3 or float(x.std()) == 0 or float(y.std()) == 0:
        return None
    correlation = float(torch.corrcoef(torch.stack([x, y]))[0, 1])
    return Transfer(correlation, float((x * y).sum() / x.square().sum()), (on_samples, on_inverted))


def _spreads(readings: Mapping[str, Tensor], factors: Sequence[Factor]) -> dict[str, float]:
    def spread(factor: Factor) -> float:
        values = readings[factor.name].double()
        apart: Callable[[Tensor, Tensor], Tensor] = turned if factor.kind == "circular" else torch.sub
        return float(apart(values, values.roll(1, 0)).square().mean().div(2).sqrt())

    return {factor.name: spread(factor) for factor in factors}


def _moves(
    generator: Generator,
    directions: Directions,
    calibration: Calibration,
    oracle: Oracle,
    kept: Sequence[Factor],
    factors: Sequence[Factor],
    codes: Codes,
    spreads: Mapping[str, float],
) -> Tensor:
    """Mean signed move (k, 2, factors) in spreads, over codes where a factor is seen before and after; NaN without."""
    k, n = len(directions), len(codes)
    index = torch.arange(k).repeat_interleave(2 * n)
    signed = (calibration.usable() * torch.tensor(SIGNS)).reshape(-1).repeat_interleave(n)
    rows = torch.arange(n).repeat(2 * k)

    def read(here: slice) -> Mapping[str, Tensor]:
        return oracle.read(
            generator.render(directions.displace(codes[rows[here]], index[here], signed[here])).clamp(-1, 1)
        )

    before = oracle.read(generator.render(codes).clamp(-1, 1))
    parts = list(in_batches(read, len(rows), BATCH))
    after = {name: torch.cat([part[name] for part in parts]) for name in before}
    columns = []
    for factor in kept:
        seen = visible(factor, before, factors)[rows] & visible(factor, after, factors)
        there, here = after[factor.name].cpu(), before[factor.name].cpu()[rows]
        apart = turned(here, there) if factor.kind == "circular" else there - here
        apart = torch.where(seen.cpu(), apart, torch.nan).reshape(k, 2, n)
        columns.append(apart.nanmean(2) / spreads[factor.name])
    return torch.stack(columns, 2)
