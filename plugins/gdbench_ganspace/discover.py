"""GANSpace: principal components of w (section 2.1 of the paper), or of features, regressed to z (2.2); or ICA."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gdbench import Codes, Context, Features, Generator, LinearDirections, PluginError
from gdbench_ganspace.components import SMALLEST, Array, Components, covariance, exact, incremental, independent
from gdbench_ganspace.params import GanspaceParams

Batches = Callable[[], Iterator[tuple[Array, Array]]]
"""Each call begins the same (features (n, width), latents (n, dim)) again."""


LEAST = 0.02
"""Components of which z explains less (adjusted R^2) have hardly a direction in z."""


class NarrowLayer(Exception):
    """Fewer than K components vary in a layer: it sees a part of the latent, as the slots of BigGAN."""


class Featured(Generator, Protocol):
    """A generator that shows intermediate layers (capability "features", which only z asks for)."""

    feature_layers: tuple[str, ...]

    def features(self, codes: Codes, layer: str) -> Tensor: ...


@torch.no_grad()
def discover(generator: Featured, params: GanspaceParams, context: Context) -> LinearDirections:
    """The first ``context.k`` components; a step is one standard deviation of the codes along the direction.

    With ICA, one of the independent source (outside z). Raises PluginError where the space is z and the generator shows
    no features, the space is w+, a layer is named outside z, or K components do not exist.
    """
    if context.space == "w+":
        raise PluginError("ganspace: in w+ it has no directions of its own: those of w move all layers; take space w")
    if context.space != "z":
        if params.layer is not None:
            raise PluginError(f"ganspace: layer={params.layer} is for space z; in {context.space} it takes the codes")
        steps, unit = _of_codes(generator, params, context)
        return LinearDirections(torch.from_numpy(steps), context.space, torch.from_numpy(unit))
    *narrow, last = _layers(generator, params)
    if narrow and min(params.batch, params.samples) <= context.k:
        raise PluginError(f"ganspace: samples and batch must be above K = {context.k}, to tell which layer varies")
    for layer in narrow:
        try:
            return _of_features(generator, layer, params, context, context.k)
        except NarrowLayer:
            context.reporter.log(f"ganspace: fewer than {context.k} components vary in layer {layer}; trying the next")
    return _of_features(generator, last, params, context, 0)


def _of_features(
    generator: Featured, layer: str, params: GanspaceParams, context: Context, least: int
) -> LinearDirections:
    """Components of a layer, carried back to z. Raises NarrowLayer where the first batch has a rank below ``least``."""

    def batches() -> Iterator[tuple[Array, Array]]:
        for number, codes in enumerate(_codes(generator, params, context)):
            features = _rows(generator.features(codes, layer))
            if number == 0 and _narrow(features, least):
                raise NarrowLayer
            yield features, _rows(codes.latents)

    if params.estimator == "incremental":
        paths, spread = _regressed_incrementally(batches, context.k, generator.dim("z"))
    else:
        found, paths, spread = _regressed(batches, context.k, generator.dim("z"))
        if params.estimator == "ica":
            paths = _sources(found, (features for features, _ in batches()), context) @ paths
    unexplained = int((_explained(paths, spread, params.samples) < LEAST).sum())
    if unexplained:
        context.reporter.log(
            f"ganspace: z hardly explains {unexplained} of the {context.k} components of layer {layer} (adjusted R^2"
            f" below {LEAST}): they vary with the class, or not linearly with z"
        )
    vectors = paths / np.linalg.norm(paths, axis=1, keepdims=True)
    unit = np.sqrt(np.einsum("ki,ij,kj->k", vectors, spread, vectors))
    return LinearDirections(torch.from_numpy(vectors), "z", torch.from_numpy(unit))


def _explained(paths: Array, spread: Array, samples: int) -> Array:
    """Adjusted R^2 (k,) of whitened components on z, of their covariances with it (k, dim) and that of z."""
    squared = np.einsum("ki,ki->k", paths, np.linalg.lstsq(spread, paths.T)[0].T)
    adjusted: Array = 1 - (1 - squared) * (samples - 1) / max(1, samples - 1 - len(spread))
    return adjusted


def _of_codes(generator: Generator, params: GanspaceParams, context: Context) -> tuple[Array, Array]:
    """Directions (k, dim), and the deviation (k,) that is a step along each."""

    def batches() -> Iterator[Array]:
        return (_rows(codes.latents) for codes in _codes(generator, params, context))

    if params.estimator == "incremental":
        found = incremental(batches(), context.k)
        return found.rows, found.deviation
    found = exact(*covariance(batches()), context.k)
    if params.estimator == "exact":
        return found.rows, found.deviation
    steps = _sources(found, batches(), context) @ (found.rows * found.deviation[:, None])
    return steps, np.linalg.norm(steps, axis=1)


def _sources(found: Components, batches: Iterable[Array], context: Context) -> Array:
    """Rows (k, k): one deviation of each independent source in whitened coordinates, the widest in samples first.

    The second pass keeps K numbers of each sample in memory: FastICA sees all of them in each iteration.
    """
    project = found.rows.T / found.deviation
    whitened = np.vstack([(rows - found.mean) @ project for rows in batches])
    start = context.stream("discover").of("ica").at().standard_normal((context.k, context.k))
    turned = independent(whitened, start)
    width = np.linalg.norm(turned * found.deviation, axis=1)
    widest_first: Array = turned[np.argsort(-width, kind="stable")]
    return widest_first


def _regressed(batches: Batches, k: int, dim: int) -> tuple[Components, Array, Array]:
    """Components of features, their least-squares images (k, dim) in z, and the covariance of z (dim, dim).

    Coordinates whitened on the same samples have covariance 1, so their covariance with z is the solution.
    """
    mean, joint = covariance(np.hstack(pair) for pair in batches())
    found = exact(mean[:-dim], joint[:-dim, :-dim], k)
    return found, found.rows @ joint[:-dim, -dim:] / found.deviation[:, None], joint[-dim:, -dim:]


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


def _narrow(features: Array, least: int) -> bool:
    """Whether a few rows (n, width) show a rank below ``least``; too few rows show nothing."""
    few = features[: 4 * least + 1]
    if not least < len(few):
        return False
    widths = np.linalg.svd(few - few.mean(0), compute_uv=False)
    return int((widths > SMALLEST * widths.max()).sum()) < least


def _layers(generator: Featured, params: GanspaceParams) -> tuple[str, ...]:
    layers = tuple(generator.feature_layers) if isinstance(generator, Features) else ()
    if not layers:
        raise PluginError("ganspace: in z it needs a generator with features; this one shows none")
    if params.layer is not None and params.layer not in layers:
        raise PluginError(f"ganspace: unknown layer {params.layer!r}; known: {', '.join(layers)}")
    return (params.layer,) if params.layer else layers
