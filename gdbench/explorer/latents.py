"""Latents by number: the page and torch draw the same codes, so that a number in an address means one image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gdbench.codes import Codes
    from gdbench.programs import Program
    from gdbench.protocols import Generator

BITS = 0xFFFFFFFF
PURPOSE = "explorer"


class Drawn(NamedTuple):
    """Standard normal numbers, and one uniform in [0, 1) that chooses a class."""

    normals: list[float]
    uniform: float


def draw(number: int, count: int) -> Drawn:
    """``count`` normal numbers of latent ``number`` (32 bits), as ``numbers`` in ``page.js`` draws them.

    Mulberry32, whose state is stirred first so that neighbours start far apart, and the transform of Box and Muller.
    """
    stirred = number & BITS
    for _ in range(4):
        stirred = _mixed(stirred + 0x6D2B79F5 & BITS)
    stream = _uniforms(stirred)
    found: list[float] = []
    while len(found) < count:
        radius, angle = math.sqrt(-2 * math.log(1 - next(stream))), 2 * math.pi * next(stream)
        found += [radius * math.cos(angle), radius * math.sin(angle)]
    return Drawn(found[:count], next(stream))


def _uniforms(state: int) -> Iterator[float]:
    while True:
        state = state + 0x6D2B79F5 & BITS
        yield _mixed(state) / 2**32


def _mixed(state: int) -> int:
    mixed = (state ^ state >> 15) * (1 | state) & BITS
    mixed = mixed + ((mixed ^ mixed >> 7) * (61 | mixed) & BITS) & BITS ^ mixed
    return mixed ^ mixed >> 14


def class_of(program: Program, uniform: float, chosen: int | None = None) -> int | None:
    """The class of a latent: the chosen one, the program's, or a uniform one; None without classes."""
    if not program.classes:
        return None
    if chosen is not None:
        return chosen
    return program.label if program.label is not None else int(uniform * program.classes)


def code_of(generator: Generator, program: Program | None, space: str, number: int, chosen: int | None = None) -> Codes:
    """The code of latent ``number`` (1, dim) in ``space``; without a program it is the generator's own draw."""
    import torch

    from gdbench.codes import Codes
    from gdbench.protocols import MapsToW
    from gdbench.streams import Stream

    if program is None:
        return generator.sample(1, space, Stream(number, PURPOSE).at())
    drawn = draw(number, program.normals)
    normals, label = torch.tensor(drawn.normals)[None], class_of(program, drawn.uniform, chosen)
    labels = None if label is None else torch.tensor([label], device=generator.device)
    if space == "w" and isinstance(generator, MapsToW):
        with torch.no_grad():
            return generator.map(Codes(normals.to(generator.device), "z", labels))
    one_hot = None if label is None else torch.eye(program.classes)[label]
    return Codes(program.code(normals[0], one_hot)[None].to(generator.device), space, labels)
