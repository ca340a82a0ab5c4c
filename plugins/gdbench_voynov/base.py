"""Base images: unshifted images rendered ahead, without gradient, a block at a time, each used in several pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import Codes, Generator, Stream
from gdbench_voynov.params import VoynovParams

BATCHES, BYTES = 64, 2**28
"""A block holds at most so many batches and so many bytes of images."""


@dataclass(frozen=True)
class Block:
    """Codes and their images, and the order in which they serve: (reuse, n) permutations of their indices."""

    number: int
    codes: Codes
    images: Tensor
    order: Tensor


class BaseImages:
    """The base images of a training: ``at(step)`` depends on stream and step alone, so that a run can resume.

    render: what renders a batch of codes, where it is not the generator itself.
    """

    def __init__(
        self,
        generator: Generator,
        space: str,
        stream: Stream,
        params: VoynovParams,
        render: Callable[[Codes], Tensor] | None = None,
    ) -> None:
        largest = BYTES // (4 * params.batch * math.prod(generator.image_shape))
        self._batches = max(1, min(BATCHES, largest, math.ceil(params.steps / params.reuse)))
        self._generator, self._space, self._stream = generator, space, stream
        self._batch, self._reuse = params.batch, params.reuse
        self._images = render or generator.render
        self._block: Block | None = None

    def at(self, step: int) -> tuple[Codes, Tensor]:
        """Codes and images (batch, c, h, w) of a step."""
        number, within = divmod(step, self._batches * self._reuse)
        if self._block is None or self._block.number != number:
            self._block = self._make(number)
        turn, position = divmod(within, self._batches)
        rows = self._block.order[turn, position * self._batch : (position + 1) * self._batch]
        return self._block.codes[rows], self._block.images[rows]

    def _make(self, number: int) -> Block:
        rng, n = self._stream.at(number), self._batches * self._batch
        codes = self._generator.sample(n, self._space, rng)
        with torch.no_grad():
            images = torch.cat([self._images(part) for part in codes.chunks(self._batch)])
        order = torch.stack([torch.from_numpy(rng.permutation(n)) for _ in range(self._reuse)])
        return Block(number, codes, images, order.to(images.device))
