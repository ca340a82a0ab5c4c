"""Subjects for the tests of metrics: directions of the toy generator, calibrated quickly."""

from __future__ import annotations

import numpy as np
import torch
from gdbench_acceptance.directions import Paths
from gdbench_toy.domain import load as load_domain
from gdbench_toy.generator import Toy
from gdbench_toy.generator import load as load_generator
from torch import Tensor

from gdbench import Context, Directions, LinearDirections, NoParams, Stream, Subject, calibrate, moments

CPU = torch.device("cpu")
TOY: Toy = load_generator(None, NoParams(), CPU)
DOMAIN = load_domain(CPU)
MOMENTS = moments(TOY, "z")
PLANTED = TOY.planted


def random_directions(k: int, seed: int = 1) -> Tensor:
    """``k`` orthonormal rows."""
    matrix = np.random.default_rng(seed).standard_normal((TOY.dim("z"), k))
    return torch.from_numpy(np.linalg.qr(matrix).Q.T.astype(np.float32))


def subject(found: Tensor | Directions, n: int = 32, seed: int = 0) -> Subject:
    """The toy with directions, straight ones where vectors are given; a row of zeros is a dead direction."""
    directions = LinearDirections(found, "z") if isinstance(found, Tensor) else found
    calibration = calibrate(TOY, directions, DOMAIN.oracle("a"), MOMENTS, Stream(seed, "calibrate"), codes=24)
    return Subject(TOY, directions, calibration, DOMAIN, MOMENTS, seed=seed, n=n)


def paths(vectors: Tensor) -> Paths:
    """Straight directions that keep the length and the sign of their vectors."""
    return Paths(vectors, "z", torch.ones(len(vectors)))


def context(k: int, seed: int = 0) -> Context:
    """A context that shows nothing and keeps nothing."""
    return Context(seed=seed, device=CPU, k=k, space="z", domain=DOMAIN)
