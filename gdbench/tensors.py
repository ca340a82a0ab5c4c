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
