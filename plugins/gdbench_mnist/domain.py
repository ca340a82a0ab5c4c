"""The domain `mnist` as gdbench's protocol has it: held-out digits with their measures, and the two oracles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gdbench import Factor, UsageError, integers
from gdbench_mnist import files, oracle, reference
from gdbench_mnist.idx import Bytes
from gdbench_mnist.measures import NAMES

PADDING = 2  # 28 px to 32 px


def to_images(pictures: Bytes) -> Tensor:
    """Bytes (n, 28, 28) as images (n, 1, 32, 32), float32 in [-1, 1]: background -1, ink 1."""
    padded = np.pad(pictures, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    return torch.from_numpy(padded)[:, None].float() / 127.5 - 1


@dataclass(frozen=True)
class Mnist:
    """Digits at 32 px on `device`: images (n, 1, 32, 32) in [-1, 1].

    The real images of all measures are the 2,000 that come with the package; they are the same on every machine, and
    none of them ever trains. data: folder of the training images, None for the usual places.
    """

    device: torch.device
    oracles: Mapping[str, oracle.MnistOracle]
    data: Path | None = None
    name: str = "mnist"
    licence: str = f"images of MNIST: {files.LICENCE}"
    distance: str = "oracle a"
    factors: tuple[Factor, ...] = oracle.FACTORS

    @property
    def real_images(self) -> int:
        """How many different images there are: 2,000."""
        return len(self.held_out[0])

    @cached_property
    def held_out(self) -> tuple[Bytes, Bytes]:
        """The shipped images (2000, 28, 28) and their digits (2000,)."""
        return files.held_out()

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """Held-out images in random order; all of them come once before one comes again."""
        return to_images(self.held_out[0][self._rows(n, rng)]).to(self.device)

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Raises UsageError: there are none. Ink is what is brighter than half grey, which anyone can threshold."""
        raise UsageError("the domain mnist has no masks: there is no background to see")

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Held-out images, their labels (n,) int64, and the measures (n,) of the float64 reference as float32."""
        rows = self._rows(n, rng)
        pictures, digits = self.held_out
        images = to_images(pictures[rows])
        measured = [reference.measure(image) for image in images[:, 0].numpy()]
        true = {name: torch.tensor([each[name] for each in measured], device=self.device) for name in NAMES}
        digit = torch.from_numpy(digits[rows].astype(np.int64)).to(self.device)
        return images.to(self.device), {"digit": digit, **true}

    def oracle(self, which: Literal["a", "b"]) -> oracle.MnistOracle:
        """Oracle A (distance, features, labels) or B (scores)."""
        return self.oracles[which]

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

    def _rows(self, n: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        size = self.real_images
        return np.concatenate([rng.permutation(size) for _ in range(max(1, -(-n // size)))])[:n]


def load(device: torch.device) -> Mnist:
    """The domain with both oracles on `device`.

    Raises MissingFile or IntegrityError where an oracle's weights are missing or not those of its card.
    """
    return Mnist(device, {"a": oracle.load("a", device), "b": oracle.load("b", device)})
