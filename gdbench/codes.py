"""Codes: latents with the space they live in and the labels they belong to, as one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Codes:
    """A batch of codes.

    latents: (n, dim), or (n, layers, dim) in ``"w+"``. labels: None, class indices (n,) int64, soft class vectors
    (n, classes) float, or class embeddings (n, width) float, as the generator documents. origin: the latents (n, dim)
    in z from which codes in w were mapped, where the generator tells; what is displaced keeps it.
    """

    latents: Tensor
    space: str
    labels: Tensor | None = None
    origin: Tensor | None = None

    def __len__(self) -> int:
        return self.latents.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Codes:
        return self._each(lambda rows: rows[index])

    def shifted(self, delta: Tensor) -> Codes:
        """The codes moved by ``delta`` (n, dim) or (dim,); space and labels stay: a pair never differs in class."""
        if self.latents.dim() == 3 and delta.dim() == 2:
            delta = delta[:, None, :]
        return replace(self, latents=self.latents + delta)

    def repeated(self, times: int) -> Codes:
        """Every code ``times`` times in a row: (n * times, ...)."""
        return self._each(lambda rows: rows.repeat_interleave(times, 0))

    def to(self, device: torch.device | str) -> Codes:
        """The codes on another device."""
        return self._each(lambda rows: rows.to(device))

    def chunks(self, size: int) -> Sequence[Codes]:
        """The codes in batches of at most ``size``."""
        return [self[start : start + size] for start in range(0, len(self), size)]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Codes:
        labels, origin = (None if rows is None else change(rows) for rows in (self.labels, self.origin))
        return replace(self, latents=change(self.latents), labels=labels, origin=origin)
