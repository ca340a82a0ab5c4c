"""Inception v3 of torchvision: the features of photographs, for KID, precision and diversity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gdbench import ExtraFile, IntegrityError, checked_file, load_weights

if TYPE_CHECKING:
    from torchvision.models import Inception3

SIDE = 299  # pixels that the network was trained on


def load(file: ExtraFile, folder: Path | None = None) -> Inception3:
    """The network in ``file`` without its classifier, frozen, in evaluation mode, on the CPU.

    As for LPIPS: hash checked at every use, no network, nothing random. Raises MissingFile, or IntegrityError where the
    SHA-256 is another one or the tensors are not those of an Inception v3.
    """
    from torchvision.models import Inception3

    path = checked_file(file, folder)
    with torch.device("meta"):
        network = Inception3(init_weights=False)
    network.to_empty(device="cpu")
    try:
        network.load_state_dict(load_weights(path))
    except RuntimeError as error:
        what = " ".join(str(error).split())[:200]
        raise IntegrityError(f"{path}: no Inception v3 of torchvision: {what}") from None
    network.fc = nn.Identity()
    return network.requires_grad_(False).eval()


def features(network: Inception3, images: Tensor) -> Tensor:
    """Means over places of the last maps, (n, 2048), of images (n, 1 or 3, h, w) in [-1, 1], resized to 299 pixels."""
    colours = images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
    pooled: Tensor = network(interpolate(colours, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True))
    return pooled
