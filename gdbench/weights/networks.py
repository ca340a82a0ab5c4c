"""Small networks that ship with a domain: weights beside a card that names their hash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from gdbench.errors import IntegrityError, MissingFile
from gdbench.files import sha256
from gdbench.streams import Network, unfilled


def load_network(
    build: Callable[[], Network], weights: Path, device: torch.device, remedy: str
) -> tuple[Network, dict[str, Any]]:
    """The network with the weights of a safetensors file, in float32, frozen, in evaluation mode; and its card.

    The card is the JSON file of the same stem; its ``sha256`` is that of the weights. remedy: what makes missing files.
    Raises MissingFile without weights or card, IntegrityError where the weights are not those of the card.
    """
    card_file = weights.with_suffix(".json")
    for file in (weights, card_file):
        if not file.is_file():
            raise MissingFile(f"{file} is missing; {remedy} makes it")
    card: dict[str, Any] = json.loads(card_file.read_text())
    if sha256(weights) != card["sha256"]:
        raise IntegrityError(f"{weights} is not the file of its card (sha256 differs); install gdbench again")
    network = unfilled(build)  # no initial values, so no draw from the global random state
    tensors = load_file(weights)
    network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, assign=True)
    network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return network, card
