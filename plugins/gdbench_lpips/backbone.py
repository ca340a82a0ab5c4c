"""The AlexNet behind LPIPS: its file, the check of it, and the network that the `lpips` package makes of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gdbench import ExtraFile, IntegrityError, checked_file, load_weights

if TYPE_CHECKING:
    from lpips import LPIPS


def load(file: ExtraFile, folder: Path | None = None) -> LPIPS:
    """LPIPS 0.1 (alex) with the backbone in ``file``, frozen, in evaluation mode, on the CPU.

    folder: where it lies in place of the user's checkpoint folder. The hash is checked at every use, whoever put the
    file there. No network, no draw from a random state. Raises MissingFile with the command that gets the file,
    IntegrityError where its SHA-256 is another one or its tensors are not an AlexNet's.
    """
    path = checked_file(file, folder)
    network = _build()
    _fill(network, load_weights(path), path)
    return network.requires_grad_(False).eval()


def _build() -> LPIPS:
    """LPIPS with the linear weights of its package and a backbone that holds no values yet; nothing random is drawn."""
    import lpips

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the package calls torchvision in its old manner
        network = lpips.LPIPS(net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False)
    network.to_empty(device="cpu")
    network.scaling_layer = lpips.ScalingLayer()  # constants, which the meta device does not keep
    linear = load_weights(Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth")
    network.load_state_dict(linear, strict=False)
    return network


def _fill(network: LPIPS, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put the file's convolutions (features.0, .3, ...) where the package keeps them (slice1.0, slice2.3, ...)."""
    wanted = network.net.state_dict()
    given = {name: tensors.get(f"features.{name.partition('.')[2]}") for name in wanted}
    unfit = [name for name, tensor in given.items() if tensor is None or tensor.shape != wanted[name].shape]
    if unfit:
        raise IntegrityError(f"{path}: no AlexNet of torchvision: {unfit[0]} is missing or of another shape")
    network.net.load_state_dict(given)


def layers(network: LPIPS, images: Tensor) -> list[Tensor]:
    """The five feature maps (n, c, h, w) of images (n, 1 or 3, h, w) in [-1, 1], before normalisation."""
    colours = images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
    return list(network.net(network.scaling_layer(colours)))


def channel_weights(network: LPIPS) -> list[Tensor]:
    """Learned weights (c,) >= 0 of each layer: LPIPS is the sum over layers of the mean over places of w (u - v)²."""
    return [weight.detach().flatten() for weight in network.lins.parameters()]
