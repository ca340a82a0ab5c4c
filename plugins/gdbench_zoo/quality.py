"""What a shipped checkpoint must pass, and the other figures of its card.

Oracle A labels and calibrates, oracle B scores, as in the protocol. All figures come from fixed streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gdbench import (
    Domain,
    Factor,
    FiniteImages,
    Generator,
    LinearDirections,
    MapsToW,
    Oracle,
    Stream,
    calibrate,
    coordinates,
    difference,
    kid,
    moments,
    normal,
    precision,
    spread,
    steering,
    visible,
)
from gdbench_zoo.statistics import frechet, linear_r2

SAMPLES = 4000
PIXELS = 15  # a mask below this is a frame without object
BATCH = 200
AGREEMENT = 0.9  # share of images of which the oracles see the same class
BALANCE = 0.5  # share of the rarest class among generated images, as a multiple of its share among real ones
STEERED = 0.5  # spreads by which a supervised direction must move a factor


@dataclass(frozen=True)
class Readings:
    """What one oracle reads off n images: factors, pooled features (n, d), object area in pixels (n,)."""

    factors: Mapping[str, Tensor]
    pooled: Tensor
    area: Tensor


def read(oracle: Oracle, images: Tensor) -> Readings:
    """Read images (n, c, h, w) in batches."""
    factors, pooled, area = [], [], []
    for batch in torch.split(images.clamp(-1, 1), BATCH):
        factors.append(oracle.read(batch))
        pooled.append(oracle.embed(batch)[1])
        area.append((oracle.mask(batch) > 0.5).sum((1, 2)))
    names = factors[0]
    return Readings(
        {name: torch.cat([part[name] for part in factors]) for name in names}, torch.cat(pooled), torch.cat(area)
    )


@torch.no_grad()
def measure(generator: Generator, domain: Domain, samples: int = SAMPLES) -> dict[str, Any]:
    """All figures of a card: gates, realism, linear readability per space, and the factors that it lacks."""
    space = "z" if "z" in generator.spaces else generator.spaces[0]
    codes = generator.sample(samples, space, Stream(0, "gates/samples").at())
    images = torch.cat([generator.render(chunk) for chunk in codes.chunks(BATCH)])
    a, b = read(domain.oracle("a"), images), read(domain.oracle("b"), images)
    objects = b.area >= PIXELS
    classes = {factor.name: factor for factor in domain.factors if factor.kind == "class"}
    balances = _balances(classes, (a, b), domain, objects)
    steered, unsteered = steered_by_labels(generator, domain)
    gates = {
        "without_object": round(1 - float(objects.double().mean()), 4),
        **{f"{name}_agreement": agreement(a.factors[name][objects], b.factors[name][objects]) for name in classes},
        **{f"{name}_balance": round(min(balances[name]), 4) for name in classes},
        "steered_factors": sum(value >= STEERED for value in steered.values()),
    }
    latents = {codes.space: codes.latents}
    if "w" in generator.spaces and isinstance(generator, MapsToW):
        latents["w"] = generator.map(codes).latents
    missed = [name for name, value in gates.items() if not holds(name, value, len(domain.factors))]
    lacking = {name for name, value in steered.items() if value < STEERED}
    return {
        "gates": gates,
        "passed": not missed,
        "missed": missed,
        "lacking": sorted(lacking | {name for name in classes if f"{name}_agreement" in missed}),
        "steering": steered,
        "steering_of_random_directions": unsteered,
        **_shares(classes, a, b),
        "rare": {name: rare(factor, balances[name]) for name, factor in classes.items()},
        "realism": realism(domain, a.pooled),
        "r2": {space: readability(domain, values, b.factors) for space, values in latents.items()},
        "samples": samples,
    }


def agreement(a: Tensor, b: Tensor) -> float:
    """Share of images whose likeliest class is the same in probabilities a and b (n, classes)."""
    return round(float((a.argmax(1) == b.argmax(1)).double().mean()), 4)


def _shares(classes: Iterable[str], a: Readings, b: Readings) -> dict[str, Any]:
    """For each class factor the share of each class, as oracle A and B see it."""
    return {
        f"{name}_shares": [[round(float(x), 3) for x in readings.factors[name].mean(0)] for readings in (a, b)]
        for name in classes
    }


def _balances(
    classes: Iterable[str], readings: Sequence[Readings], domain: Domain, objects: Tensor
) -> dict[str, list[float]]:
    """Class factor -> for each class the `balance` of generated images with an object, by the stricter oracle."""
    real = _reals(domain, len(objects))[0]
    truth = [read(domain.oracle(which), real).factors for which in ("a", "b")]
    return {
        name: torch.minimum(
            *(balance(fake.factors[name][objects], true[name]) for fake, true in zip(readings, truth, strict=True))
        ).tolist()
        for name in classes
    }


def balance(fake: Tensor, real: Tensor) -> Tensor:
    """Share of each class among generated images as a multiple of that among real ones (classes,): 0 is dropped.

    fake, real: class probabilities (n, classes). An image counts for its likeliest class; one that the data lack is 1.
    """
    a, b = (torch.bincount(rows.argmax(1), minlength=rows.shape[1]).double() / len(rows) for rows in (fake, real))
    return torch.where(b > 0, a / b, torch.ones_like(b))


def rare(factor: Factor, balances: Sequence[float]) -> list[str]:
    """The names (else the numbers) of the classes below the gate of balance: the generator drops them."""
    names = factor.classes or tuple(str(i) for i in range(len(balances)))
    return [name for name, value in zip(names, balances, strict=True) if value < BALANCE]


def holds(gate: str, value: float, factors: int) -> bool:
    """Whether a gate holds, for a domain with that many factors: six must be steered, or all but one of fewer."""
    if gate == "without_object":
        return value < 0.02
    if gate.endswith("_balance"):
        return value >= BALANCE
    return value >= (min(6, factors - 1) if gate == "steered_factors" else AGREEMENT)


def realism(domain: Domain, fake: Tensor) -> dict[str, float]:
    """Fréchet, KID, precision and recall in oracle A's features, n fakes against n new images.

    `real_*` compares new images with new images. Where the domain has no more than `real_images`, each side gets half
    of them and as many fakes; `images` says how many.
    """
    real, other = (read(domain.oracle("a"), images).pooled for images in _reals(domain, len(fake)))
    fewer = {"images": len(real)} if len(real) < len(fake) else {}
    fake = fake[: len(real)]
    figures = {
        "frechet": frechet(real, fake),
        "real_frechet": frechet(real, other),
        "kid": kid(real, fake)[0],
        "real_kid": kid(real, other)[0],
        "precision": precision(real, fake),
        "recall": precision(fake, real),
    }
    return {name: round(value, 5) for name, value in figures.items()} | fewer


def _reals(domain: Domain, n: int) -> tuple[Tensor, Tensor]:
    """Two sets of n real images that share none."""
    if not isinstance(domain, FiniteImages):
        real, other = (domain.images(n, Stream(0, f"gates/{name}").at()) for name in ("real", "other"))
        return real, other
    n = min(n, domain.real_images // 2)
    both = domain.images(2 * n, Stream(0, "gates/real").at())
    return both[:n], both[n:]


def readability(domain: Domain, latents: Tensor, factors: Mapping[str, Tensor]) -> dict[str, float]:
    """Held-out R² of least squares from latents (n, d) to each factor where visible.

    `shuffled` is the mean over factors with the latents of other images.
    """
    scores, control = {}, []
    order = torch.from_numpy(Stream(0, "gates/shuffle").at().permutation(len(latents)))
    for factor in domain.factors:
        seen = visible(factor, factors, domain.factors)
        values = coordinates(factor, factors[factor.name][seen])
        scores[factor.name] = round(linear_r2(latents[seen], values), 3)
        control.append(linear_r2(latents[order][seen], values))
    return scores | {"shuffled": round(sum(control) / len(control), 3)}


@torch.no_grad()
def steered_by_labels(
    generator: Generator, domain: Domain, fit: int = SAMPLES, n: int = 256, random: int = 8
) -> tuple[dict[str, float], dict[str, float]]:
    """For each factor the mean change, in spreads, along its best supervised direction at the headline visible change.

    The directions of a factor are those of `gdbench.steering`, by oracle A's labels. Also the
    mean over `random` isotropic directions: an edit of that visible change moves most factors a little.
    """
    space = generator.spaces[0]
    codes = generator.sample(fit, space, Stream(0, "gates/fit").at())
    labels = read(domain.oracle("a"), torch.cat([generator.render(chunk) for chunk in codes.chunks(BATCH)])).factors
    supervised = [steering(factor, codes.latents, labels, domain.factors) for factor in domain.factors]
    prior = moments(generator, space)
    whitened = normal(Stream(0, "gates/random").at(), random, generator.dim(space))
    directions = LinearDirections(torch.cat([*supervised, whitened @ prior.root().float()]), space)
    calibration = calibrate(generator, directions, domain.oracle("a"), prior, Stream(0, "gates/calibrate"))
    moved = _moved(generator, domain, directions, calibration.usable(), n)
    best, floor, start = {}, {}, 0
    for factor, rows in zip(domain.factors, supervised, strict=True):
        best[factor.name] = round(max(moved[factor.name][start : start + len(rows)]), 3)
        floor[factor.name] = round(sum(moved[factor.name][-random:]) / random, 3)
        start += len(rows)
    return best, floor


def _moved(
    generator: Generator, domain: Domain, directions: LinearDirections, magnitudes: Tensor, n: int
) -> dict[str, list[float]]:
    """Factor -> mean change along each direction over n codes and both signs, in spreads, by oracle B."""
    codes = generator.sample(n, directions.space, Stream(0, "gates/steer").at())
    oracle = domain.oracle("b")
    before = read(oracle, generator.render(codes)).factors
    moved: dict[str, list[float]] = {factor.name: [] for factor in domain.factors}
    for k in range(len(directions)):
        index = torch.full((n,), k)
        after = [
            read(oracle, generator.render(directions.displace(codes, index, magnitude.expand(n)))).factors
            for magnitude in (magnitudes[k, 0], -magnitudes[k, 1])
        ]
        for factor in domain.factors:
            sides = [_change_in_spreads(factor, domain, before, readings) for readings in after]
            moved[factor.name].append(sum(sides) / 2)
    return moved


def _change_in_spreads(
    factor: Factor, domain: Domain, before: Mapping[str, Tensor], after: Mapping[str, Tensor]
) -> float:
    """Mean change of one factor over the images that show it before and after; 0 where there is none."""
    shown = visible(factor, before, domain.factors)
    both = shown & visible(factor, after, domain.factors)
    scale = spread(factor, before[factor.name], shown)
    apart = difference(factor, before[factor.name][both], after[factor.name][both])
    return float(apart.mean()) / scale if len(apart) and scale > 0 else 0.0
