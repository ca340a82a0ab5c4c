"""gdbench's own weights files: safetensors, with facts in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gdbench.errors import IntegrityError
from gdbench.files import atomic_write

FACTS = "facts"  # the key of the safetensors header that holds our facts
HALVED = "halved"
LARGE = 200_000
"""Bytes from which a tensor of a run is kept in half precision."""


def save_weights(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors and facts (JSON values) as one safetensors file, atomically; equal input gives equal bytes.

    facts: what a loader needs and tensors do not tell. ``domain``, ``family`` and ``format`` are kept there too.
    """
    from safetensors.torch import save

    own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    # one line only: safetensors shuffles several
    data = save(own, metadata={FACTS: json.dumps(dict(facts), sort_keys=True)})
    with atomic_write(path) as file:
        file.write(data)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write what a run keeps, such as directions, atomically; ``load_tensors`` reads it.

    A float32 tensor of more than 200 kB is kept in float16, unless it holds numbers above 65504; the relative error is
    at most 5e-4, of numbers below 6e-5 the absolute one 3e-8.
    """
    halves = {name: tensor.half() for name, tensor in tensors.items() if _halvable(tensor)}
    halves = {name: half for name, half in halves.items() if torch.isfinite(half).all()}
    save_weights(path, {**tensors, **halves}, {HALVED: sorted(halves)} if halves else {})


def _halvable(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.numel() * tensor.element_size() > LARGE


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, those that ``save_tensors`` halved in float32 again."""
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = load_file(path)
    halved = read_facts(path).get(HALVED, ()) if has_facts(path) else ()
    return {name: tensor.float() if name in halved else tensor for name, tensor in tensors.items()}


def read_facts(path: Path) -> dict[str, Any]:
    """The facts that ``save_weights`` wrote, without reading a tensor. Raises IntegrityError for a file without any."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length < path.stat().st_size else b""
    try:
        return dict(json.loads(json.loads(header)["__metadata__"][FACTS]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise IntegrityError(f"{path.name}: not a weights file of gdbench (no facts in its header)") from None


def has_facts(path: Path) -> bool:
    """Whether a path is a weights file that gdbench wrote."""
    try:
        return path.is_file() and read_facts(path) is not None
    except IntegrityError:
        return False
