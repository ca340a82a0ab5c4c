"""How well an oracle reads the held-out digits: the figures on its card, which the tests measure again."""

from __future__ import annotations

import numpy as np
import torch

from gdbench import Oracle
from gdbench_mnist import files, reference
from gdbench_mnist.domain import to_images
from gdbench_mnist.measures import NAMES

BATCH = 250


@torch.no_grad()
def held_out(oracle: Oracle, n: int | None = None) -> dict[str, float]:
    """Accuracy of the digit, and R² of each measure against the float64 reference, on the (first n) held-out images."""
    pictures, digits = files.held_out()
    images = to_images(pictures[:n])
    reads = [oracle.read(batch) for batch in torch.split(images, BATCH)]
    read = {name: torch.cat([part[name] for part in reads]).double().numpy() for name in reads[0]}
    true = [reference.measure(image) for image in images[:, 0].numpy()]
    figures = {"digit": float((read["digit"].argmax(1) == digits[:n]).mean())}
    for name in NAMES:
        wanted = np.array([measured[name] for measured in true])
        figures[name] = float(1 - np.square(read[name] - wanted).mean() / wanted.var())
    return figures
