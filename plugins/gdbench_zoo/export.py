"""Turns a training into a shipped checkpoint: averaged weights in half precision, and a card with measured gates."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gdbench import (
    Domain,
    GdbenchError,
    Generator,
    Licensed,
    MissingFile,
    Stream,
    TrainingImages,
    save_weights,
    sha256,
    write_text,
)
from gdbench_zoo.families import load, recipe
from gdbench_zoo.quality import measure
from gdbench_zoo.trainer import Recipe, channels, fields, new_players

LICENCE = "MIT"
MADE = ("command", "data", "cpu_minutes", "steps", "seed", "recipe", "spaces")
"""What a card says of a training; the rest is measured."""


def settled_generator(recipe: Recipe, state: Mapping[str, Any]) -> nn.Module:
    """The averaged generator of a training state, with its statistics recomputed."""
    network = copy.deepcopy(new_players(recipe, state["seed"]).average)
    network.load_state_dict(state["average"])
    recipe.settle(network, Stream(0, "zoo/settle").at())
    return network


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating tensors in half precision. Raises GdbenchError where one does not fit."""
    smaller = {}
    for name, tensor in tensors.items():
        stored = tensor.half() if tensor.is_floating_point() else tensor
        if not torch.isfinite(stored).all():
            raise GdbenchError(f"tensor {name} does not fit half precision")
        smaller[name] = stored.clone(memory_format=torch.contiguous_format)
    return smaller


def read_state(file: Path) -> dict[str, Any]:
    """A training state. Raises MissingFile."""
    if not file.exists():
        raise MissingFile(f"no training state {file}; gdbench zoo train makes one")
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


def provenance(family: str, chosen: Recipe, minutes: float, seed: int, domain: Domain) -> dict[str, str]:
    """How the generator was trained and on what, for the card; the command names what differs from the recipe."""
    usual = fields(recipe(family, channels(domain)))
    changed = {name: value for name, value in fields(chosen).items() if value != usual[name]}
    command = f"gdbench zoo train {family} --minutes {minutes} --seed {seed} --domain {domain.name}"
    command += "".join(f" -p {name}={json.dumps(value, separators=(',', ':'))}" for name, value in changed.items())
    if not isinstance(domain, TrainingImages):
        return {"command": command, "data": f"fresh renders of the domain {domain.name} for every step"}
    data = f"the training images of the domain {domain.name}, none of which the metrics use"
    return {"command": f"{command} --data FOLDER", "data": data}


def export(
    family: str, chosen: Recipe, state: Mapping[str, Any], folder: Path, name: str, domain: Domain
) -> dict[str, Any]:
    """Write `name`.safetensors and its card `name`.json into `folder`; returns the card."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, card_file = folder / f"{name}.safetensors", folder / f"{name}.json"
    card_file.unlink(missing_ok=True)  # the card of other weights
    facts = {**chosen.facts(), "domain": domain.name, "family": family}
    save_weights(weights, half(settled_generator(chosen, state).state_dict()), facts)
    generator = load(family, weights)
    minutes = round(state["cpu_seconds"] / 60, 1)
    card = {
        "name": name,
        "domain": domain.name,
        "file": f"{folder.name}/{weights.name}",
        "sha256": sha256(weights),
        "size": weights.stat().st_size,
        "licence": "; ".join(filter(None, (LICENCE, domain.licence if isinstance(domain, Licensed) else ""))),
        "resolution": generator.image_shape[1],
        "status": "preview",
        "shipped": True,
        "card": {
            **provenance(family, chosen, minutes, state["seed"], domain),
            "cpu_minutes": minutes,
            "steps": state["step"],
            "seed": state["seed"],
            "recipe": fields(chosen),
            "spaces": {space: generator.dim(space) for space in generator.spaces},
        },
    }
    return _measured(card, card_file, generator, domain)


def measure_again(family: str, folder: Path, name: str, domain: Domain) -> dict[str, Any]:
    """Measure a shipped checkpoint with today's gates and replace its card, which is returned. Raises MissingFile."""
    weights, card_file = folder / f"{name}.safetensors", folder / f"{name}.json"
    if not card_file.exists():
        known = ", ".join(sorted(card.stem for card in folder.glob("*.json"))) or "none"
        raise MissingFile(f"{family} ships no checkpoint {name}; shipped: {known}")
    card: dict[str, Any] = json.loads(card_file.read_text())
    card["card"] = {fact: card["card"][fact] for fact in MADE}
    return _measured(card, card_file, load(family, weights), domain)


def _measured(card: dict[str, Any], file: Path, generator: Generator, domain: Domain) -> dict[str, Any]:
    """Write and return a card with the generator's figures, ready if it passes its gates."""
    figures = measure(generator, domain)
    card = card | {"status": "ready" if figures["passed"] else "preview", "card": {**card["card"], **figures}}
    write_text(file, json.dumps(card, indent=1) + "\n")
    return card
