"""Write the numbers that depend on a checkpoint alone beside each shipped one, so that no run measures them again.

    python benchmarks/ship_numbers.py [GENERATOR/CHECKPOINT ...]

They are those of the gates of factors (PROTOCOL, "Recovery"); the key holds the fingerprint of weights, parameters and
versions, so that old numbers are never used for other weights. A test derives them again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import gdbench
from gdbench.registry import load_registry
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.runs.stages import numbers_beside


def shipped() -> list[tuple[str, str]]:
    """(generator, checkpoint) of everything that ships with weights and a domain with factors."""
    registry = load_registry()
    return [
        (name, card.name)
        for name, offer in registry.generators.items()
        for card in offer.spec.checkpoints
        if card.shipped and "factors" in registry.domain(card.domain).spec.offers
    ]


def write(generator: str, checkpoint: str) -> None:
    """Measure the numbers of one checkpoint in a cheap run, and write them beside its weights."""
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(generator, "random", checkpoint, k=1, metrics=("recovery",), threads=1, out=Path(folder))
        made = plan(request, load_registry())
        beside = numbers_beside(made.checkpoint.path)
        assert beside is not None
        beside.unlink(missing_ok=True)
        gdbench.run(generator, "random", checkpoint=checkpoint, k=1, metrics=("recovery",), threads=1, out=folder)
        tables = {path.stem: json.loads(path.read_text()) for path in sorted((Path(folder) / ".cache").glob("*.json"))}
    beside.parent.mkdir(exist_ok=True)
    gdbench.write_text(beside, json.dumps(tables, indent=1, sort_keys=True) + "\n")
    print(f"{generator}/{checkpoint}: {len(tables)} tables", flush=True)


if __name__ == "__main__":
    for one in [tuple(name.split("/")) for name in sys.argv[1:]] or shipped():
        write(*one)
