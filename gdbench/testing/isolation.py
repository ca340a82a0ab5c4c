"""State of the whole process that a plugin must neither use nor leave changed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

T = TypeVar("T")


def random_state() -> Mapping[str, Any]:
    """The states of the three global random generators, as values that compare."""
    numpy_state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 : the legacy state is what is watched
    inner = numpy_state["state"]
    return {
        "torch's global random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's global random state": (inner["key"].tobytes(), inner["pos"], numpy_state["has_gauss"]),
        "Python's global random state": random.getstate(),
    }


def process_state() -> Mapping[str, Any]:
    """Settings of the process that change the numbers or the behaviour of other plugins."""
    return {
        "the number of torch threads": torch.get_num_threads(),
        "gradient mode": torch.is_grad_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the working directory": os.getcwd(),
        "environment variables": dict(os.environ),
    }


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run the block with all global random generators seeded; they are put back."""
    with restored():
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        yield


@contextmanager
def restored() -> Iterator[None]:
    """Put all global state back after the block, so that no check sees what another plugin left behind."""
    process = process_state()
    states = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        _restore_process(process)


def _restore_process(state: Mapping[str, Any]) -> None:
    if torch.get_num_threads() != state["the number of torch threads"]:
        torch.set_num_threads(state["the number of torch threads"])
    torch.set_grad_enabled(state["gradient mode"])
    torch.set_default_dtype(state["torch's default dtype"])
    torch.use_deterministic_algorithms(state["deterministic algorithms"])
    os.chdir(state["the working directory"])
    os.environ.clear()
    os.environ.update(state["environment variables"])


@dataclass(frozen=True)
class Observed(Generic[T]):
    """What a call gave under one global seed, under the same again and under another, and what the second changed.

    The first call also imports what it needs, and a library may set variables of its own as it is imported.
    """

    value: T
    again: T
    other: T
    random: tuple[str, ...]
    process: tuple[str, ...]

    def repeats(self, same: Callable[[T, T], bool]) -> bool:
        """Whether the call gives the same again."""
        return same(self.value, self.again)

    def uses_global_seed(self, same: Callable[[T, T], bool]) -> bool:
        """Whether the result changes with the global seed, although it repeats under an equal one."""
        return self.repeats(same) and not same(self.value, self.other)


def observe(call: Callable[[], T]) -> Observed[T]:
    """Call three times; global state is watched, and put back."""
    with seeded(1):
        value = call()
    with seeded(1):
        before = random_state(), process_state()
        again = call()
        changed = [_changed(old, new) for old, new in zip(before, (random_state(), process_state()), strict=True)]
    with seeded(2):
        return Observed(value, again, call(), *changed)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in before if before[name] != after[name])
