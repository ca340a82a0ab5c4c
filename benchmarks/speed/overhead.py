"""How much of a quick run is neither generator, reconstructor nor metric: ``python benchmarks/speed/overhead.py``.

Profiles one run by process CPU time. What happens inside network modules, autograd, optimisers and the metric functions
is work; the rest (planning, streams, store, pictures, bookkeeping) is overhead. The aim is under 5 %.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gdbench import specs
from gdbench.progress import reporter
from gdbench.registry import load_registry
from gdbench.runs import counting, measuring, pipeline
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest


@dataclass
class Clock:
    """Process CPU seconds inside wrapped calls, nested ones counted once."""

    seconds: float = 0.0
    depth: int = 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            start, self.depth = time.process_time(), self.depth + 1
            try:
                return call(*arguments, **named)
            finally:
                self.depth -= 1
                if self.depth == 0:
                    self.seconds += time.process_time() - start

        return timed


def main() -> None:
    """Run one cell with everything that counts as work timed, and print the share of the rest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gan", default="sngan")
    parser.add_argument("--method", default="voynov")
    parser.add_argument("--tier", default="quick")
    asked = parser.parse_args()
    clock = Clock()
    torch.nn.Module.__call__ = clock.wrap(torch.nn.Module.__call__)  # type: ignore[method-assign]
    torch.Tensor.backward = clock.wrap(torch.Tensor.backward)  # type: ignore[method-assign]
    torch.optim.Adam.step = clock.wrap(torch.optim.Adam.step)  # type: ignore[method-assign]
    counting.Counted.render = clock.wrap(counting.Counted.render)  # type: ignore[method-assign]
    counting.Counted.features = clock.wrap(counting.Counted.features)  # type: ignore[method-assign]
    measuring.resolve = lambda lazy: clock.wrap(specs.resolve(lazy))  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as out:
        registry = load_registry()
        request = RunRequest(asked.gan, asked.method, tier=asked.tier, out=Path(out), threads=1)
        start = time.process_time()
        pipeline.execute(plan(request, registry), registry, reporter(quiet=True))
        total = time.process_time() - start
    print(f"{asked.gan} x {asked.method}, {asked.tier}: {total:.1f} CPU s, work {clock.seconds:.1f} s")
    print(f"everything else: {1 - clock.seconds / total:.1%}")


if __name__ == "__main__":
    main()
