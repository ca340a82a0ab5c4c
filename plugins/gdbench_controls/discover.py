"""Random, coordinate, duplicated and dead directions (PROTOCOL, "Words")."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gdbench import Context, Generator, LinearDirections, NoParams, moments, normal, orthonormal
from gdbench_controls.params import ControlParams


def random(generator: Generator, params: ControlParams, context: Context) -> LinearDirections:
    """Orthonormal directions, uniformly distributed; the same that `voynov` starts from at this seed.

    Outside z they are orthonormal in whitened coordinates and mapped by S^(1/2): drawn raw, they would leave a flat
    prior, and a method that respects it would win by that alone.
    """
    return _mapped(_orthonormal(generator, context), generator, params, context)


def duplicated(generator: Generator, params: ControlParams, context: Context) -> LinearDirections:
    """The first random direction, K times: nothing can tell them apart."""
    first = _orthonormal(generator, replace(context, k=1))
    return _mapped(first.expand(context.k, -1), generator, params, context)


def coordinate(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """K axes of the space, without repetition, drawn by the seed. A step is the axis's prior deviation."""
    dim = context.dimensions(generator)
    axes = torch.from_numpy(context.stream("discover").at().permutation(dim)[: context.k])
    unit = None if context.space == "z" else moments(generator, context.space).variances.sqrt()[axes]
    return LinearDirections(torch.eye(dim)[axes], context.space, unit)


def dead(generator: Generator, params: NoParams, context: Context) -> LinearDirections:
    """Zero vectors: dead on any generator, whatever its insensitive directions are."""
    return LinearDirections(torch.zeros(context.k, generator.dim(context.space)), context.space)


def _orthonormal(generator: Generator, context: Context) -> Tensor:
    """Rows (k, dim), uniformly distributed."""
    rng = context.stream("discover").of("orthonormal").at()
    return orthonormal(normal(rng, context.k, context.dimensions(generator)))


def _mapped(rows: Tensor, generator: Generator, params: ControlParams, context: Context) -> LinearDirections:
    if not params.whiten or context.space == "z":  # the prior of z is white already
        return LinearDirections(rows, context.space)
    vectors = moments(generator, context.space).unwhitened(rows)
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))
