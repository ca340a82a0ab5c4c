"""Training unit vectors by contrast: the global form of the method."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Codes, Context, Generator, LinearDirections, PluginError, integers, moments, normal, uniform
from gdbench_latentclr.loss import contrast
from gdbench_latentclr.params import LatentclrParams

CHECK = 25
"""Steps between two looks at the loss: each look waits for the device."""


class Featured(Generator, Protocol):
    """A generator that shows intermediate layers (capability "features")."""

    feature_layers: tuple[str, ...]

    def features(self, codes: Codes, layer: str) -> Tensor: ...


@dataclass(frozen=True)
class Training:
    """Everything that a step changes, and the map (dim, dim) from whitened displacements into the space."""

    free: nn.Parameter
    optimiser: torch.optim.Optimizer
    root: Tensor

    def vectors(self) -> Tensor:
        """Directions in the space: rows (k, dim), of unit length in whitened coordinates."""
        return F.normalize(self.free, dim=1) @ self.root

    def state(self, step: int) -> dict[str, Any]:
        """What ``restore`` needs to go on after ``step`` steps."""
        return {"step": step, "free": self.free.detach(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any] | None) -> int:
        """Take up a state; returns the number of steps done."""
        if state is None:
            return 0
        with torch.no_grad():
            self.free.copy_(state["free"])
        self.optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])


def discover(generator: Featured, params: LatentclrParams, context: Context) -> LinearDirections:
    """Learn ``context.k`` directions in ``context.space``.

    Raises PluginError for a layer that does not exist, K < 2 (nothing to contrast with), or a loss that is no longer a
    number; the state last saved stays.
    """
    if context.k < 2:
        raise PluginError("latentclr contrasts directions with one another: ask for two or more")
    layer, steps = chosen(generator, params.layer), params.images // (params.batch * (context.k + 1))
    training = prepare(generator, params, context)
    done = training.restore(context.resume.load())
    stream = context.stream("discover")
    saved = time.monotonic()
    with context.reporter.task("discover", steps, done) as task:
        for first in range(done, steps, CHECK):
            last = min(first + CHECK, steps)
            total = torch.zeros((), device=context.device)
            for step in range(first, last):
                rng = stream.at(step)
                codes, shift = generator.sample(params.batch, context.space, rng), draw(params, rng)
                total += train_step(generator, training, codes, shift, layer, params.temperature)
            loss = float(total / (last - first))
            if not math.isfinite(loss):
                raise PluginError(f"latentclr: the loss was {loss} between steps {first} and {last}; try a smaller lr")
            if time.monotonic() - saved >= context.resume.every and bool(torch.isfinite(training.free).all()):
                context.resume.save(training.state(last))
                saved = time.monotonic()
            task.advance(last - first, loss=loss)
    vectors = training.vectors()
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def chosen(generator: Featured, layer: str) -> str:
    """The name of the layer, the middle one of all for "middle". Raises PluginError where none has this name."""
    layers = generator.feature_layers
    if layer == "middle":
        return layers[len(layers) // 2]
    if layer not in layers:
        raise PluginError(f"latentclr: the generator shows no layer {layer!r}; it shows {', '.join(layers)}")
    return layer


def prepare(generator: Generator, params: LatentclrParams, context: Context) -> Training:
    """Normally distributed vectors, on the device."""
    dim = generator.dim(context.space)
    free = normal(context.stream("discover").of("vectors").at(), context.k, dim) / math.sqrt(dim)
    root = torch.eye(dim)
    if params.whiten and context.space != "z":  # the prior of z is white already
        root = moments(generator, context.space).root().float()
    parameter = nn.Parameter(free.to(context.device))
    optimiser = torch.optim.Adam([parameter], params.lr, weight_decay=params.weight_decay, fused=True)
    return Training(parameter, optimiser, root.to(context.device))


def draw(params: LatentclrParams, rng: np.random.Generator) -> float:
    """The signed shift of a step."""
    shift = float(uniform(rng, params.shift_min, params.shift_max, 1))
    return -shift if params.both_signs and int(integers(rng, 2, 1)) else shift


def train_step(
    generator: Featured, training: Training, codes: Codes, shift: float, layer: str, temperature: float
) -> Tensor:
    """One update; returns the loss, still on the device."""
    vectors, n = training.vectors(), len(codes)
    with torch.no_grad():
        before = generator.features(codes, layer).flatten(1)
    index = torch.arange(n, device=vectors.device).repeat(len(vectors))
    edited = codes[index].shifted(shift * vectors.repeat_interleave(n, 0))
    after = generator.features(edited, layer).reshape(len(vectors), n, -1)
    loss = contrast(after - before, temperature).mean()
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.optimiser.step()
    return loss.detach()
