"""Counting what a stage costs: rendered images, differentiated images, CPU and wall-clock seconds, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.errors import PluginError
from gdbench.evaluation.memory import computed, peak_memory, reset_peak
from gdbench.expected import wrong_codes, wrong_images, wrong_rng
from gdbench.places import at, defined_at
from gdbench.protocols import Generator, hand_on
from gdbench.record import Cost
from gdbench.runs.pace import Pace

ORDINARY = 1e3
"""Codes with a larger entry prove nothing about a generator: a method that diverged made them."""


TRIED = 8
"""Images by which the number of threads is chosen."""


class Counted:
    """A generator that counts: one for each image rendered or computed up to a feature layer, one for each image that a
    gradient flows back through. Everything else is the generator's own.

    batch: the most images that are computed at once where no gradient flows; None sets no bound. pace: chooses the
    number of threads, by renders that are not counted.
    """

    def __init__(self, generator: Generator, batch: int | None = None, pace: Pace | None = None) -> None:
        self._generator = generator
        self._batch = batch
        self._pace = pace
        self.images = 0
        self.backward = 0
        hand_on(self, generator, ("map", "feature_layers", "modulation_weights", "program"))
        self._spoiled: Tensor | None = None  # on the device: looking at it at each image would wait for it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """The generator's codes. Raises PluginError where they, or ``rng``, are not what the contract says."""
        if complaint := wrong_rng(rng):
            raise PluginError(f"sample(n, space, rng): {complaint}")
        codes = self._generator.sample(n, space, rng)
        if complaint := wrong_codes(codes, n, space, self._generator.dim(space)):
            raise PluginError(self._about(complaint, self._generator.sample))
        return codes

    def render(self, codes: Codes) -> Tensor:
        """The generator's images, counted. Raises PluginError where they are no images of these codes."""
        if self._pace is not None and self._pace.due() and len(codes):
            with torch.no_grad():
                self._pace.look(lambda: computed(self._rendered, codes[:TRIED], self._batch))
        return self._count(computed(self._rendered, codes, self._batch), codes)

    def features(self, codes: Codes, layer: str) -> Tensor:
        """The generator's features, counted as images."""
        own = self._generator.features  # type: ignore[attr-defined]
        return self._count(computed(lambda part: own(part, layer), codes, self._batch), codes)

    def check(self, name: str) -> None:
        """Raise PluginError, which blames the generator called ``name``, where an image or a feature of ordinary codes
        was not finite."""
        if self._spoiled is not None and bool(self._spoiled):
            blame = "its weights or its code are to blame; importing its file again looks at both"
            raise PluginError(f"generator {name} renders images that are not finite (NaN or infinite): {blame}")

    def add_cost(self, images: int, backward: int) -> None:
        """Count what other processes computed for this run and cannot report themselves: ``Context.add_cost``."""
        self.images += images
        self.backward += backward

    def _rendered(self, codes: Codes) -> Tensor:
        images = self._generator.render(codes)
        if complaint := wrong_images(images, len(codes), self._generator.image_shape):
            raise PluginError(self._about(complaint, self._generator.render))
        return images

    def _about(self, complaint: str, function: Callable[..., Any]) -> str:
        return at(f"the generator {type(self._generator).__name__}: {complaint}", defined_at(function))

    def _count(self, output: Tensor, codes: Codes) -> Tensor:
        n = len(codes)
        self.images += n
        ordinary = codes.latents.detach().abs().amax() <= ORDINARY if n else torch.tensor(False)
        spoiled = ordinary & ~torch.isfinite(output.detach()).all()  # NaN is not <= anything
        self._spoiled = spoiled if self._spoiled is None else self._spoiled | spoiled
        if output.requires_grad:
            output.register_hook(lambda _: self._count_backward(n))  # type: ignore[no-untyped-call]
        return output

    def _count_backward(self, n: int) -> None:
        self.backward += n


class Meter:
    """Seconds and images since it was made, on top of what an interrupted run ``spent``; ``cost()`` reads it."""

    def __init__(self, counted: Counted | None = None, spent: Cost | None = None) -> None:
        self._spent = spent or Cost()
        self._counted = counted
        self._images = counted.images if counted else 0
        self._backward = counted.backward if counted else 0
        self._device = counted.device if counted else torch.device("cpu")
        reset_peak(self._device)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self) -> Cost:
        """The cost until now."""
        spent, counted = self._spent, self._counted
        return Cost(
            images=spent.images + (counted.images - self._images if counted else 0),
            backward=spent.backward + (counted.backward - self._backward if counted else 0),
            cpu_seconds=round(spent.cpu_seconds + time.process_time() - self._cpu, 3),
            wall_seconds=round(spent.wall_seconds + time.perf_counter() - self._wall, 3),
            peak_memory=max(spent.peak_memory, peak_memory(self._device)),
        )


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Run with ``n`` torch threads; None leaves the number as it is."""
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
