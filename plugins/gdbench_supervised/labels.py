"""From an oracle's readings to numbers that a linear direction can follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import Context, Factor, Generator, Oracle


@dataclass(frozen=True)
class Target:
    """One number per image: values (n,) float64, of which only those ``seen`` (n,) can be read."""

    name: str
    factor: str
    values: Tensor
    seen: Tensor


def read(
    generator: Generator, oracle: Oracle, samples: int, batch: int, context: Context
) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents (n, dim) and what the oracle reads off their images, on the CPU."""
    stream = context.stream("discover")
    latents: list[Tensor] = []
    readings: list[Mapping[str, Tensor]] = []
    with torch.no_grad(), context.reporter.task("label", samples) as task:
        for step, start in enumerate(range(0, samples, batch)):
            codes = generator.sample(min(batch, samples - start), context.space, stream.at(step))
            latents.append(codes.latents.cpu())
            readings.append(oracle.read(generator.render(codes).clamp(-1, 1)))
            task.advance(len(codes))
    names = readings[0]
    return torch.cat(latents), {name: torch.cat([part[name] for part in readings]).cpu() for name in names}


def targets(factors: Sequence[Factor], readings: Mapping[str, Tensor]) -> list[Target]:
    """A linear factor gives itself, a circular one sine and cosine, classes their probabilities (of two, one)."""
    found = []
    for factor in factors:
        seen = visible(factor, readings, factors)
        for name, values in _numbers(factor, readings[factor.name].double()):
            found.append(Target(name, factor.name, values, seen))
    return found


def visible(factor: Factor, readings: Mapping[str, Tensor], factors: Sequence[Factor]) -> Tensor:
    """Where a factor can be read (n,): what it needs is above its threshold, and can be read itself."""
    if factor.visible_with is None:
        return torch.ones(len(readings[factor.name]), dtype=torch.bool)
    name, threshold = factor.visible_with
    needed = next(other for other in factors if other.name == name)
    return (readings[name] > threshold) & visible(needed, readings, factors)


def _numbers(factor: Factor, values: Tensor) -> list[tuple[str, Tensor]]:
    if factor.kind == "circular":
        angle = 2 * math.pi * values
        return [(f"{factor.name} sine", angle.sin()), (f"{factor.name} cosine", angle.cos())]
    if factor.kind == "class":
        classes = values.shape[1]
        return [(f"{factor.name} {i}", values[:, i]) for i in range(classes if classes > 2 else 1)]
    return [(factor.name, values)]
