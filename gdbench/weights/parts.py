"""The parts of a wrapped weights file: the networks that a training framework saved together, by the keys to them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from gdbench.errors import UsageError, nearest

Part = dict[str, Any]

COMPILED = re.compile(r"(^|(?<=\.))_orig_mod\.")  # what torch.compile puts before names
FEWEST = 4  # tensors that make a part
DEPTH = 4  # keys and prefixes that lead to a part at most
MOST = 500  # parts that are looked at
SHOWN = 12  # parts that an error names


def parts(content: Any) -> dict[str, Part]:
    """Key -> tensors by name, of every part of a file: nested dicts, and prefixes that names share.

    ``state_dict.generator`` is what a file has under ``state_dict`` with names that begin with ``generator.``. What
    torch.compile puts before names is taken off. Single tensors that lie above a part (a mean latent) stay with it.
    """
    found: dict[str, Part] = {}
    for key, tensors, beside in _nested(content, "", {}, DEPTH):
        for prefix, part in _prefixed(tensors):
            name = ".".join(filter(None, (key, prefix)))
            if len(part) >= FEWEST and name not in found and len(found) < MOST:
                found[name] = {**{name: t for name, t in beside.items() if name not in part}, **part}
    return found


def part(content: Any, key: str) -> Part:
    """The part that ``key`` names, whole or by its last words. Raises UsageError that names the parts there are."""
    found = parts(content)
    matching = [name for name in found if name == key or name.endswith(f".{key}")]
    if key in matching or len(matching) == 1:
        return found[key if key in matching else matching[0]]
    raise UsageError(_no_part(key, matching or [name for name in found if name]))


def _no_part(key: str, names: list[str]) -> str:
    """Why no part is meant: the one with the nearest last word, and the outermost there are."""
    outermost = sorted(names, key=lambda name: (name.count("."), name))
    ends = {name.rpartition(".")[2]: name for name in reversed(outermost)}
    near = ends.get(nearest(key.rpartition(".")[2], ends), key)
    hint = f"did you mean {near!r}? " if near != key else ""
    more = f" and {len(names) - SHOWN} more inside these" if len(names) > SHOWN else ""
    return f"unknown part {key!r}: {hint}known: {', '.join(outermost[:SHOWN]) or 'none'}{more}"


def described(content: Any) -> str:
    """The parts of a file and their sizes, in a few words; empty where there are none."""
    found = sorted(
        ((name, len(part)) for name, part in parts(content).items() if name), key=lambda one: one[0].count(".")
    )
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(f"{name} ({size} tensors)" for name, size in found[:SHOWN]) + more


def _nested(value: Any, key: str, above: Part, depth: int) -> Iterator[tuple[str, Part, Part]]:
    """Every dict with tensors below ``value``: the key to it, its own tensors, and single ones above it."""
    if not isinstance(value, Mapping) or depth < 0:
        return
    tensors = {COMPILED.sub("", str(name)): t for name, t in value.items() if isinstance(t, Tensor)}
    if tensors:
        compiled = not key and not tensors.keys() <= set(map(str, value))
        yield "_orig_mod" if compiled else key, tensors, above
    single = {name: t for name, t in tensors.items() if "." not in name}
    for name, inner in value.items():
        yield from _nested(inner, f"{key}.{name}".lstrip("."), {**above, **single}, depth - 1)


def _prefixed(tensors: Part) -> Iterator[tuple[str, Part]]:
    """The tensors themselves, and those of every prefix."""
    yield "", tensors
    groups: dict[str, Part] = defaultdict(dict)
    for name, tensor in tensors.items():
        words = name.split(".")
        for length in range(1, min(len(words), DEPTH)):
            groups[".".join(words[:length])][".".join(words[length:])] = tensor
    yield from groups.items()
