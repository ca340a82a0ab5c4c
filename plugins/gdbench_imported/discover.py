"""Imported directions: where they are kept, and how a run takes them up."""

from __future__ import annotations

from pathlib import Path

import torch

from gdbench import (
    Context,
    Directions,
    Generator,
    LinearDirections,
    MissingFile,
    UsageError,
    data_folder,
    load_tensors,
    save_weights,
    sha256,
)
from gdbench_imported.params import AXES, DIGITS, ImportedParams
from gdbench_imported.paths import WarpedPaths
from gdbench_imported.readers import Found, shape_of


def home() -> Path:
    """The folder in which imported directions are kept."""
    return data_folder() / "directions"


def keep(found: Found) -> str:
    """Keep what was read; the first digits of the SHA-256 of its tensors, the same for the same directions."""
    home().mkdir(parents=True, exist_ok=True)
    part = home() / "new.safetensors"
    save_weights(part, found.tensors, {"kind": found.kind})
    digits = sha256(part)[:DIGITS]
    part.replace(home() / f"{digits}.safetensors")
    return digits


def discover(generator: Generator, params: ImportedParams, context: Context) -> Directions:
    """The directions that were imported. Raises MissingFile, or UsageError where they do not fit what is asked for."""
    dim = generator.dim(context.space)
    if params.file == AXES:
        return LinearDirections(torch.eye(dim)[: context.k], context.space)
    tensors = _kept(params.file)
    k, found = shape_of(tensors)
    if found != dim:
        raise UsageError(
            f"imported directions have dimension {found}, but space {context.space} of this generator has "
            f"{dim}: name another --space, or another generator"
        )
    if k != context.k:
        raise UsageError(f"{k} directions were imported, asked: {context.k}; give --k {k}")
    if "supports" in tensors:
        return WarpedPaths(tensors["supports"], tensors["alphas"], tensors["gamma"], context.space)
    return LinearDirections(tensors["vectors"], context.space, tensors.get("unit"))


def _kept(digits: str) -> dict[str, torch.Tensor]:
    path = home() / f"{digits}.safetensors"
    if not path.is_file():
        raise MissingFile(f"no imported directions {digits} here; read their file: gdbench import-directions FILE")
    if sha256(path)[:DIGITS] != digits:
        raise MissingFile(f"{path} is damaged: remove it and import the directions again")
    return load_tensors(path)
