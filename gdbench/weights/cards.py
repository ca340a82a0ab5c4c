"""Cards: what is written beside weights in the user's folder, read back with suspicion."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from gdbench.errors import PluginError
from gdbench.files import read_bytes
from gdbench.params import parsed
from gdbench.specs import Checkpoint, GeneratorSpec

LARGEST = 1 << 24  # bytes of a card: those of deep configurations are long
UNKNOWN = "unknown"  # domain or licence that nobody stated


def imported(spec: GeneratorSpec, folder: Path) -> Iterator[Checkpoint]:
    """The cards in the user's folder; one that cannot be read is passed over, its weights can be imported again."""
    for path in sorted((folder / spec.name).glob("*.json")):
        if card := own_card(path):
            yield card


def own_card(path: Path) -> Checkpoint | None:
    """The card at ``path`` if it speaks of the weights beside it and nothing else."""
    card = read_card(path)
    fits = card is not None and not card.shipped and card.name == path.stem and card.file == f"{path.stem}.safetensors"
    return card if fits else None


def read_card(path: Path) -> Checkpoint | None:
    """The card at ``path``, or None for what is no card."""
    try:
        return parsed(Checkpoint, read_bytes(path, LARGEST))
    except (ValueError, OSError):
        return None


def published(card: Checkpoint) -> str:
    """What is known of the SHA-256 of a card's file: all of it, its first digits, or nothing."""
    return card.sha256 or str(card.card.get("sha256_starts", ""))


def plugin_folder(spec: GeneratorSpec) -> Path:
    """The folder of the package that offers ``spec``; shipped checkpoints lie below it. Raises PluginError if none."""
    module = spec.load.partition(":")[0] if isinstance(spec.load, str) else spec.load.__module__
    found = importlib.util.find_spec(module.partition(".")[0])
    if found is None:
        raise PluginError(f"generator {spec.name}: there is no module {module}")
    folders = list(found.submodule_search_locations or [])
    return Path(folders[0]) if folders else Path(str(found.origin)).parent
