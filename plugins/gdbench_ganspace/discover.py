"""GANSpace: principal components of w (section 2.1 of the paper), or of features, regressed to z (section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, Context, Generator, LinearDirections, PluginError
from gdbench_ganspace.components import Array, Components, covariance, exact, incremental
from gdbench_ganspace.params import GanspaceParams

Batches = Callable[[], Iterator[tuple[Array, Array]]]
"""Each call begins the same (features (n, width), latents (n, dim)) again."""


class Featured(Generator, Protocol):
    """A generator that shows intermediate layers (capability "features", which only z asks for)."""

    feature_layers: tuple[str, ...]

    def features(self, codes: Codes, layer: str) -> Tensor: ...


@torch.no_grad()
def discover(generator: Featured, params: GanspaceParams, context: Context) -> LinearDirections:
    """The first ``context.k`` components; a step is one standard deviation of the codes along the direction.

    Raises PluginError where the space is z and the generator shows no features, or K components do not exist.
    """
    if context.space != "z":
        found = _of_codes(generator, params, context)
        return LinearDirections(torch.from_numpy(found.rows), context.space, torch.from_numpy(found.deviation))
    layer = _layer(generator, params)

    def batches() -> Iterator[tuple[Array, Array]]:
        for codes in _codes(generator, params, context):
            yield _rows(generator.features(codes, layer)), _rows(codes.latents)

    regressed = _regressed_incrementally if params.estimator == "incremental" else _regressed
    paths, spread = regressed(batches, context.k, generator.dim("z"))
    vectors = paths / np.linalg.norm(paths, axis=1, keepdims=True)
    unit = np.sqrt(np.einsum("ki,ij,kj->k", vectors, spread, vectors))
    return LinearDirections(torch.from_numpy(vectors), "z", torch.from_numpy(unit))


def _of_codes(generator: Generator, params: GanspaceParams, context: Context) -> Components:
    batches = (_rows(codes.latents) for codes in _codes(generator, params, context))
    if params.estimator == "incremental":
        return incremental(batches, context.k)
    return exact(*covariance(batches), context.k)


def _regressed(batches: Batches, k: int, dim: int) -> tuple[Array, Array]:
    """Least-squares images (k, dim) in z of the components of features, and the covariance of z (dim, dim).

    Coordinates whitened on the same samples have covariance 1, so their covariance with z is the solution.
    """
    mean, joint = covariance(np.hstack(pair) for pair in batches())
    found = exact(mean[:-dim], joint[:-dim, :-dim], k)
    return found.rows @ joint[:-dim, -dim:] / found.deviation[:, None], joint[-dim:, -dim:]


def _regressed_incrementally(batches: Batches, k: int, dim: int) -> tuple[Array, Array]:
    """The same, with components that are whitened only approximately: a second pass solves the normal equations."""
    found = incremental((features for features, _ in batches()), k)
    project = found.rows.T / found.deviation
    _, joint = covariance(np.hstack([(features - found.mean) @ project, latents]) for features, latents in batches())
    paths = np.linalg.solve(joint[:k, :k], joint[:k, -dim:])
    return paths.astype(np.float64), joint[-dim:, -dim:]


def _codes(generator: Generator, params: GanspaceParams, context: Context) -> Iterator[Codes]:
    stream = context.stream("discover")
    with context.reporter.task("sample", params.samples) as task:
        for step, start in enumerate(range(0, params.samples, params.batch)):
            n = min(params.batch, params.samples - start)
            yield generator.sample(n, context.space, stream.at(step))
            task.advance(n)


def _rows(values: Tensor) -> Array:
    rows: Array = values.flatten(1).double().cpu().numpy()
    return rows


def _layer(generator: Featured, params: GanspaceParams) -> str:
    layers = tuple(getattr(generator, "feature_layers", ()))
    if not layers:
        raise PluginError("ganspace: in z it needs a generator with features; this one shows none")
    if params.layer is not None and params.layer not in layers:
        raise PluginError(f"ganspace: unknown layer {params.layer!r}; known: {', '.join(layers)}")
    return params.layer or layers[0]
