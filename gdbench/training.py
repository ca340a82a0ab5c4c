"""The loop of a learned method: resumable bit for bit, shown, stopped at the first number that is none."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from gdbench.context import Context
from gdbench.errors import PluginError

CHECK = 25
"""Steps between two looks at the numbers: each look waits for the device."""


def falling(step: int, steps: int, decay: float) -> float:
    """Share of the learning rate at ``step``: 1, then linear to 0 over the last ``decay`` (0 to 1) of ``steps``."""
    return min(1.0, (steps - step) / steps / decay if decay else 1.0)


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
    parts: Mapping[str, Part | Tensor],
    shown: Sequence[str] = ("loss",),
) -> None:
    """Call ``step(n)`` for n = 0 .. ``steps`` - 1, from where an interrupted run stopped.

    step: one update; what it draws comes from a stream at ``n``. Returns the numbers to show (m,), loss first,
    still on the device. parts: the modules, optimisers and tensors it changes, kept in ``context.resume``.
    Raises PluginError once a loss is no longer finite, or a parameter at the end; the state last saved, whose
    parameters are all finite, stays. Whoever asks it to stop gets the state of the step that is just done saved.
    """
    done = _restore(parts, context.resume.load())
    saved = time.monotonic()
    stop = context.resume.stop

    def save(step: int) -> None:
        context.resume.save({"step": step, **{name: _state(part) for name, part in parts.items()}})

    with context.reporter.task("discover", steps, done) as task, stop.heeded():
        for first in range(done, steps, CHECK):
            last = min(first + CHECK, steps)
            sums = torch.zeros(len(shown), device=context.device)
            for n in range(first, last):
                sums += step(n)
                if stop.error is not None:
                    if _finite(parts):
                        save(n + 1)
                        stop.progress = f"step {n + 1:,} of {steps:,}"
                    raise stop.error
            means = (sums / (last - first)).tolist()
            if not math.isfinite(means[0]):
                raise PluginError(f"{shown[0]} was {means[0]} between steps {first} and {last}; try a smaller lr")
            if time.monotonic() - saved >= context.resume.every and _finite(parts):
                save(last)
                saved = time.monotonic()
            task.advance(last - first, **dict(zip(shown, means, strict=True)))
    if not _finite(parts):
        raise PluginError(f"parameters are no longer finite after step {steps}; try a smaller lr")


def _state(part: Part | Tensor) -> Any:
    return part.detach() if isinstance(part, Tensor) else part.state_dict()


@torch.no_grad()
def _restore(parts: Mapping[str, Part | Tensor], state: Mapping[str, Any] | None) -> int:
    if state is None:
        return 0
    for name, part in parts.items():
        if isinstance(part, Tensor):
            part.copy_(state[name])
        else:
            part.load_state_dict(state[name])
    return int(state["step"])


def _finite(parts: Mapping[str, Part | Tensor]) -> bool:
    """Whether all that is learned is a number; an optimiser's own state does not end in the result."""
    learned = [_state(part) for part in parts.values() if not isinstance(part, torch.optim.Optimizer)]
    values = [value for state in learned for value in ([state] if isinstance(state, Tensor) else state.values())]
    return all(bool(torch.isfinite(value).all()) for value in values if isinstance(value, Tensor))
