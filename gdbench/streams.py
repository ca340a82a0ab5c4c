"""Counter-based random streams: what a stage draws depends on seed, purpose and step, and on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Stream:
    """The random numbers of one purpose: ``at(step)`` does not depend on earlier draws (Philox, Salmon et al. 2011)."""

    seed: int
    purpose: str

    def at(self, step: int = 0) -> np.random.Generator:
        """The generator of ``step``: key = hash of (seed, purpose), counter = step in the highest word."""
        digest = hashlib.sha256(f"{self.seed}/{self.purpose}".encode()).digest()
        key = np.frombuffer(digest[:16], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, step], dtype=np.uint64)))

    def __getattr__(self, name: str) -> Any:
        """Raises AttributeError that says what was forgotten, where a stream is used as the generator of a step."""
        hint = (
            f": a Stream is no generator; draw from stream.at(step).{name}"
            if hasattr(np.random.Generator, name)
            else ""
        )
        raise AttributeError(f"Stream has no {name!r}{hint}")

    def of(self, part: str) -> Stream:
        """The stream of a part of this purpose."""
        return Stream(self.seed, f"{self.purpose}/{part}")


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Standard normal float32 tensor on the CPU."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Uniform float32 tensor in [low, high) on the CPU."""
    return torch.from_numpy(rng.random(shape, dtype=np.float32)) * (high - low) + low


def integers(rng: np.random.Generator, high: int, *shape: int) -> Tensor:
    """Uniform int64 tensor in [0, high) on the CPU."""
    return torch.from_numpy(rng.integers(0, high, shape))


def initialised(rng: np.random.Generator, build: Callable[[], nn.Module]) -> nn.Module:
    """A module built with torch's own initialisers, seeded by ``rng``; global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**62)))
        return build()


class _NoDraws(TorchFunctionMode):
    """Leaves out what fills tensors with random numbers."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in (torch.randn, torch.rand):
            return torch.empty(*args, **kwargs)
        if function in _FILLS or getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


_FILLS = (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_)


def unfilled(build: Callable[[], Network]) -> Network:
    """A module whose parameters are to be loaded: built without drawing a number. What they hold until then is nothing.

    The meta device would do as well, but its arithmetic imports torch's compiler: seconds, for every process.
    """
    with _NoDraws():
        return build()
