"""The device that a run is asked to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdbench.errors import UsageError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> torch.device:
    """The torch device of ``auto``, ``cpu``, ``cuda`` or ``cuda:n``. Raises UsageError where it does not exist."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: {torch.cuda.device_count()} CUDA devices here; try --device cpu")
    return device
