"""The domain `mnist` as gdbench's protocol has it: held-out digits, and the two oracles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gdbench import integers
from gdbench_mnist import files
from gdbench_mnist.idx import Bytes

PADDING = 2  # 28 px to 32 px


def to_images(pictures: Bytes) -> Tensor:
    """Bytes (n, 28, 28) as images (n, 1, 32, 32), float32 in [-1, 1]: background -1, ink 1."""
    padded = np.pad(pictures, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    return torch.from_numpy(padded)[:, None].float() / 127.5 - 1


@dataclass(frozen=True)
class Mnist:
    """Digits at 32 px on `device`; data: folder of the training images, None for the usual places."""

    device: torch.device
    data: Path | None = None
    name: str = "mnist"

    def with_data(self, folder: Path) -> Mnist:
        """The same domain, with its training images in `folder`."""
        return replace(self, data=folder)

    def training_images(self, n: int, rng: np.random.Generator) -> Tensor:
        """`n` random training images (n, 1, 32, 32), none of them in the held-out set.

        Raises MissingFile where the files are not there, with their names and how to get them.
        """
        pictures = self._training
        return to_images(pictures[integers(rng, len(pictures), n).numpy()]).to(self.device)

    @cached_property
    def _training(self) -> Bytes:
        return files.training(self.data)[0]


def load(device: torch.device) -> Mnist:
    """The domain on `device`."""
    return Mnist(device)
