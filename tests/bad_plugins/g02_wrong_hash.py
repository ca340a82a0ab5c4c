"""Breaks G02: the card's hash is not that of the shipped file."""

from pathlib import Path

from gdbench_toy.generator import load as toy

from gdbench import Checkpoint, GeneratorSpec, hookimpl, sha256

FILE = Path(__file__)
GOOD = Checkpoint("good", "toy", FILE.name, sha256(FILE), FILE.stat().st_size, shipped=True)
WRONG = Checkpoint("wrong", "toy", FILE.name, "0" * 64, FILE.stat().st_size, shipped=True)


def load(path, params, device):
    return toy(None, params, device)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec("bad", "breaks one clause", load, domain="toy", checkpoints=(GOOD, WRONG))
