"""Which factors count: gates that depend on the generator alone, measured once (PROTOCOL, "Recovery")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import (
    Codes,
    Context,
    Domain,
    Factor,
    LinearDirections,
    Stream,
    Subject,
    UsageError,
    Void,
    calibrate,
    coordinates,
    difference,
    mean_square,
    moments,
    spread,
    steering,
    visible,
)
from gdbench_metrics.effects import effects

AGREEMENT = 0.8  # R² of oracle A and B on the generator's images
SPREAD = 0.3  # spread on the generator's images, in spreads of the data
LABELLED = 0.5  # share of a factor's variance between labels above which the label sets it
STEERED = 0.5  # spreads by which the supervised direction must move it
VERSION = 2  # of the cached numbers; 1 had no variances
CALIBRATED, EDITED = 32, 64  # codes that the supervised directions are calibrated and tried on


@dataclass(frozen=True)
class Sample:
    """Unedited codes of the generator with both oracles' readings of their images."""

    codes: Codes
    a: Mapping[str, Tensor]
    b: Mapping[str, Tensor]


@dataclass(frozen=True)
class Gates:
    """Which factors count for a generator. numbers: what ``measured`` returns; failed: factor -> the gate it fails."""

    numbers: Mapping[str, float]
    counted: Sequence[Factor]
    failed: Mapping[str, str]

    @property
    def none(self) -> Void:
        """Why scores are void where no factor counts."""
        gates = ", ".join(f"{name} ({gate})" for name, gate in self.failed.items())
        return Void(f"no factor counts for this generator: {gates}")

    def tell(self, context: Context) -> None:
        """Log the factors that do not count."""
        for name, gate in self.failed.items():
            context.reporter.log(f"factor {name} does not count for this generator: {gate}")


def reasons(factors: Sequence[Factor], passed: Mapping[str, bool], numbers: Mapping[str, float]) -> dict[str, str]:
    """Factor -> the gate that it fails. numbers: what ``measured`` returns; passed: oracle B's card."""
    found: dict[str, str] = {}
    for name in (factor.name for factor in factors):
        if not passed.get(name, False):
            found[name] = "oracle"
        elif numbers[f"agreement:{name}"] < AGREEMENT:
            found[name] = "agreement"
        elif numbers[f"spread:{name}"] <= SPREAD * numbers[f"data:{name}"]:
            found[name] = "spread"
        elif numbers[f"label:{name}"] > LABELLED:
            found[name] = "label"
        elif numbers[f"steered:{name}"] < STEERED:
            found[name] = "steering"
    return found


@torch.no_grad()
def measured(subject: Subject, domain: Domain, samples: int) -> dict[str, float]:
    """``quantity:factor`` -> spread, variance, data (spread there), agreement, label, steered: what the gates need."""
    sample = _sample(subject, domain, samples)
    data = domain.oracle("b").read(_real(domain, samples))
    data = {name: values.cpu() for name, values in data.items()}
    numbers: dict[str, float] = {}
    for factor in domain.factors:
        seen = visible(factor, sample.b, domain.factors)
        sigma = spread(factor, sample.b[factor.name], seen)
        numbers[f"spread:{factor.name}"] = sigma
        numbers[f"variance:{factor.name}"] = variance(factor, sample.b[factor.name], seen)
        numbers[f"data:{factor.name}"] = spread(factor, data[factor.name], visible(factor, data, domain.factors))
        numbers[f"agreement:{factor.name}"] = agreement(factor, sample, domain.factors, sigma)
        numbers[f"label:{factor.name}"] = explained(factor, sample, seen)
    return numbers | steered(subject, domain, sample, numbers)


def _real(domain: Domain, n: int) -> Tensor:
    """Real images, or those that come with true factors where the domain has no others. UsageError without either."""
    stream = Stream(0, "metric/gates/data")
    try:
        return domain.images(n, stream.at())
    except UsageError:
        return domain.truth(n, stream.at())[0]


def gates(subject: Subject, domain: Domain, samples: int) -> Gates | Void:
    """The gates of a generator, measured once per checkpoint; void where no real images tell how factors vary."""
    try:
        numbers = subject.cached(f"gates-{VERSION}-{samples}", lambda: measured(subject, domain, samples))
    except UsageError as none:
        return Void(f"how far the factors vary in the data is unknown: {none}")
    failed = reasons(domain.factors, domain.oracle("b").passed, numbers)
    return Gates(numbers, [factor for factor in domain.factors if factor.name not in failed], failed)


def variance(factor: Factor, readings: Tensor, seen: Tensor) -> float:
    """Total variance of a factor's ``coordinates`` on the images where it is visible; 0 with fewer than two."""
    visible_ones = coordinates(factor, readings[seen].double())
    return float(visible_ones.var(0, correction=0).sum()) if len(visible_ones) > 1 else 0.0


def _sample(subject: Subject, domain: Domain, n: int) -> Sample:
    space = subject.generator.spaces[0]
    codes = subject.generator.sample(n, space, Stream(0, "metric/gates/codes").at())
    a, b = domain.oracle("a"), domain.oracle("b")
    parts = []
    for chunk in codes.chunks(subject.batch):
        images = subject.generator.render(chunk).clamp(-1, 1)
        parts.append((a.read(images), b.read(images)))
    readings = [{name: torch.cat([part[i][name] for part in parts]).cpu() for name in parts[0][i]} for i in (0, 1)]
    return Sample(codes, *readings)


def agreement(factor: Factor, sample: Sample, factors: Sequence[Factor], sigma: float) -> float:
    """R² of oracle A for oracle B, 1 - E[d(a, b)^2] / sigma^2, where both see the factor; -1 without spread."""
    seen = visible(factor, sample.a, factors) & visible(factor, sample.b, factors)
    apart = difference(factor, sample.a[factor.name], sample.b[factor.name]).double().square()[seen]
    return 1 - float(apart.mean()) / sigma**2 if sigma > 0 and len(apart) else -1.0


def explained(factor: Factor, sample: Sample, seen: Tensor) -> float:
    """Share of a factor's variance that lies between labels, in [0, 1]; 0 for a generator without labels."""
    if sample.codes.labels is None:
        return 0.0
    overall = mean_square(factor, sample.b[factor.name], seen)
    label = torch.unique(sample.codes.labels.cpu(), dim=0, return_inverse=True)[1]
    order = label.argsort(stable=True)  # neighbours then share their label
    readings, label, seen = sample.b[factor.name][order], label[order], seen[order]
    same = seen & seen.roll(1, 0) & (label == label.roll(1, 0))
    if overall == 0 or not same.any():
        return 0.0
    within = float(difference(factor, readings, readings.roll(1, 0)).double().square()[same].mean())
    return max(1 - within / overall, 0.0)


def steered(subject: Subject, domain: Domain, sample: Sample, spreads: Mapping[str, float]) -> dict[str, float]:
    """``steered:factor`` -> how far its best supervised direction moves it at the headline change, in spreads."""
    generator, space = subject.generator, sample.codes.space
    vectors = [steering(factor, sample.codes.latents, sample.a, domain.factors) for factor in domain.factors]
    directions = LinearDirections(torch.cat(vectors), space)
    shape, stream = moments(generator, space), Stream(0, "metric/gates/calibrate")
    calibration = calibrate(generator, directions, domain.oracle("a"), shape, stream, CALIBRATED, subject.batch)
    there = Subject(generator, directions, calibration, domain, shape, seed=0, n=EDITED, batch=subject.batch)
    sigma = {factor.name: max(spreads[f"spread:{factor.name}"], 1e-12) for factor in domain.factors}
    table = effects(there.edits(), domain.factors, domain.factors, sigma).table
    blocks = torch.split(table, [len(vector) for vector in vectors])
    best = [float(block[:, j].max()) for j, block in enumerate(blocks)]
    return {f"steered:{factor.name}": value for factor, value in zip(domain.factors, best, strict=True)}
