"""Eigenvectors of the averaged metric M = E[S^(1/2) J' J S^(1/2)], J = d phi / d code, phi pixels or features."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gdbench import Codes, Context, Features, Generator, LinearDirections, PluginError, moments
from gdbench_jacobian.params import JacobianParams

Phi = Callable[[Codes], Tensor]
"""Codes -> what is differentiated, (n, width)."""


class Inner(Generator, Protocol):
    """A generator that may show layers ("features") and map z to w ("mapping"); which it does is asked at run time."""

    feature_layers: tuple[str, ...]

    def features(self, codes: Codes, layer: str) -> Tensor: ...

    def map(self, codes: Codes) -> Codes: ...


def discover(generator: Inner, params: JacobianParams, context: Context) -> LinearDirections:
    """The ``context.k`` eigenvectors of largest eigenvalue; a step is one prior deviation (whitened) or a unit (raw).

    Raises PluginError where K exceeds the dimension, or the generator lacks the layer or the mapping.
    """
    dim = context.dimensions(generator)
    root = torch.eye(dim, dtype=torch.float64)
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root()
    codes = _codes(generator, params, context)
    tangents = root.float().to(context.device)
    total = torch.zeros(dim, dim, dtype=torch.float64)
    with context.reporter.task("differentiate", len(codes)) as task:
        for code in codes.chunks(1):
            total += metric(_phi(generator, params), code, tangents, params.batch)
            task.advance()
    vectors = torch.linalg.eigh(total).eigenvectors.T.flip(0)[: context.k] @ root
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def metric(phi: Phi, code: Codes, tangents: Tensor, batch: int) -> Tensor:
    """T J' J T' at one code, for tangents T (k, dim): (k, k), float64 on the CPU. Costs k products."""
    parts = [products(phi, code.repeated(len(part)), part) for part in torch.split(tangents, batch)]
    columns = torch.cat(parts).double().cpu()
    return columns @ columns.T


def products(phi: Phi, codes: Codes, tangents: Tensor) -> Tensor:
    """J(code_i) tangent_i, (n, width), by forward-mode differentiation: one image each.

    Codes are repeated instead of mapped over by ``vmap``, which refuses channels-last networks, and behind which
    nobody can count images.
    """

    def of_latents(latents: Tensor) -> Tensor:
        return phi(replace(codes, latents=latents))

    with warnings.catch_warnings():  # torch compiles rules for forward mode by its own deprecated means, once
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        product: Tensor = torch.func.jvp(of_latents, (codes.latents,), (tangents.to(codes.latents),))[1]
    return product


def _phi(generator: Inner, params: JacobianParams) -> Phi:
    if params.layer == "pixels":
        return lambda codes: adaptive_avg_pool2d(generator.render(codes), params.side).flatten(1)
    layers = tuple(generator.feature_layers) if isinstance(generator, Features) else ()
    layer = layers[len(layers) // 2] if layers and params.layer == "middle" else params.layer
    if layer not in layers:
        raise PluginError(f"jacobian: the generator shows no layer {layer!r}; it shows {', '.join(layers) or 'none'}")
    return lambda codes: generator.features(codes, layer).flatten(1)


def _codes(generator: Inner, params: JacobianParams, context: Context) -> Codes:
    rng = context.stream("discover").at()
    if params.at == "prior":
        return generator.sample(max(1, params.jvps // generator.dim(context.space)), context.space, rng)
    if context.space != "z" and not hasattr(generator, "map"):
        raise PluginError(f"jacobian: at=centre in {context.space} needs a generator that maps z there; take at=prior")
    zero = generator.sample(1, "z", rng)
    zero = replace(zero, latents=torch.zeros_like(zero.latents))
    return zero if context.space == "z" else generator.map(zero)
