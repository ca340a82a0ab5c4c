"""Codes: latents with the space they live in and the labels they belong to, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Codes:
    """A batch of codes.

    latents: (n, dim), or (n, layers, dim) in ``"w+"``. labels: None, class indices (n,) int64, soft class vectors
    (n, classes) float, or class embeddings (n, width) float, as the generator documents.
    """

    latents: Tensor
    space: str
    labels: Tensor | None = None

    def __len__(self) -> int:
        return self.latents.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Codes:
        labels = None if self.labels is None else self.labels[index]
        return replace(self, latents=self.latents[index], labels=labels)

    def shifted(self, delta: Tensor) -> Codes:
        """The codes moved by ``delta`` (n, dim) or (dim,); space and labels stay: a pair never differs in class."""
        if self.latents.dim() == 3 and delta.dim() == 2:
            delta = delta[:, None, :]
        return replace(self, latents=self.latents + delta)

    def repeated(self, times: int) -> Codes:
        """Every code ``times`` times in a row: (n * times, ...)."""
        labels = None if self.labels is None else self.labels.repeat_interleave(times, 0)
        return replace(self, latents=self.latents.repeat_interleave(times, 0), labels=labels)

    def to(self, device: torch.device | str) -> Codes:
        """The codes on another device."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, latents=self.latents.to(device), labels=labels)

    def chunks(self, size: int) -> Sequence[Codes]:
        """The codes in batches of at most ``size``."""
        return [self[start : start + size] for start in range(0, len(self), size)]
