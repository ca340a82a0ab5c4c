"""The loop of a learned method: resumable bit for bit, shown, stopped at the first number that is none."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gdbench.context import Context
from gdbench.errors import PluginError

CHECK = 25
"""Steps between two looks at the numbers: each look waits for the device."""


class Part(Protocol):
    """A module or an optimiser: what a step changes."""

    def state_dict(self) -> dict[str, Any]:
        """Its whole state."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take up a state."""
        ...


def train(
    context: Context,
    steps: int,
    step: Callable[[int], Tensor],
    parts: Mapping[str, Part],
    shown: Sequence[str] = ("loss",),
) -> None:
    """Call ``step(n)`` for n = 0 .. ``steps`` - 1, from where an interrupted run stopped.

    step: one update; what it draws comes from a stream at ``n``. Returns the numbers to show (m,), loss first,
    still on the device. parts: what it changes, saved to and restored from ``context.resume``.
    Raises PluginError once a loss is no longer finite; the state last saved, whose parameters are all finite, stays.
    """
    done = _restore(parts, context.resume.load())
    saved = time.monotonic()
    with context.reporter.task("discover", steps, done) as task:
        for first in range(done, steps, CHECK):
            last = min(first + CHECK, steps)
            sums = torch.zeros(len(shown), device=context.device)
            for n in range(first, last):
                sums += step(n)
            means = (sums / (last - first)).tolist()
            if not math.isfinite(means[0]):
                raise PluginError(f"{shown[0]} was {means[0]} between steps {first} and {last}; try a smaller lr")
            if time.monotonic() - saved >= context.resume.every and _finite(parts):
                context.resume.save({"step": last, **{name: part.state_dict() for name, part in parts.items()}})
                saved = time.monotonic()
            task.advance(last - first, **dict(zip(shown, means, strict=True)))


def _restore(parts: Mapping[str, Part], state: Mapping[str, Any] | None) -> int:
    if state is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def _finite(parts: Mapping[str, Part]) -> bool:
    parameters = (value for part in parts.values() if isinstance(part, nn.Module) for value in part.parameters())
    return all(bool(torch.isfinite(value).all()) for value in parameters)
