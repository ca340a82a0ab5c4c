"""From files to directions, by the layout of their content; no code from a file is run.

- npy, csv, json, or a tensor in a torch or safetensors file: rows (k, dim), also (dim,) and (k, 1, dim), as the
  boundaries of InterFaceGAN (Shen et al. 2020) are; npz with the components ``lat_comp`` of GANSpace.
- what ``gdbench export`` writes.
- the deformator of Voynov and Babenko's code: columns of ``linear.weight``, or of exp(A - A') for ``log_mat_half``.
- the support sets of WarpedGANSpace's code: curved paths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench import MissingFile, UsageError, load_weights

WRAPPED = ("deformator", "support_sets", "state_dict")
LARGEST = 1 << 30
"""Bytes of a file of directions, at most."""
EXPECTED = "expected directions as rows (k, dim)"


@dataclass(frozen=True)
class Found:
    """What a file holds. kind: its layout, in words. tensors: ``vectors`` (k, dim) and perhaps ``unit`` (k,), or
    ``supports`` (k, m, dim), ``alphas`` (k, m) and ``gamma`` (k,). notes: what was left out."""

    kind: str
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = field(default=())

    @property
    def shape(self) -> tuple[int, int]:
        """(k, dim)."""
        return shape_of(self.tensors)


def shape_of(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """(k, dim) of straight directions or support sets."""
    first = tensors["vectors"] if "vectors" in tensors else tensors["supports"]
    return first.shape[0], first.shape[-1]


def read_all(paths: Sequence[Path]) -> Found:
    """The directions of all files, one after another. Raises GdbenchError in one line."""
    found = [read(path) for path in paths]
    if len(found) == 1:
        return found[0]
    for path, one in zip(paths, found, strict=True):
        if "vectors" not in one.tensors:
            raise UsageError(f"{path.name}: curved directions are imported alone, not with other files")
        if one.shape[1] != found[0].shape[1]:
            raise UsageError(f"{path.name}: dimension {one.shape[1]}, but {paths[0].name} has {found[0].shape[1]}")
    units = [one.tensors.get("unit", torch.ones(one.shape[0])) for one in found]
    tensors = {"vectors": torch.cat([one.tensors["vectors"] for one in found]), "unit": torch.cat(units)}
    return Found(found[0].kind, tensors, tuple(note for one in found for note in one.notes))


def read(path: Path) -> Found:
    """The directions in a file. Raises MissingFile, UsageError or IntegrityError in one line."""
    if not path.is_file():
        raise MissingFile(f"{path}: no such file")
    if path.stat().st_size > LARGEST:
        raise UsageError(f"{path.name}: {path.stat().st_size:,} bytes are too many for directions")
    try:
        content = _content(path)
        return _recognised(content)
    except (ValueError, TypeError, KeyError, EOFError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(f"{path.name}: no directions: {why or type(error).__name__}; {EXPECTED}") from None


def _content(path: Path) -> Any:
    """What a file holds: a number array, or a mapping of them."""
    kind = path.suffix.lower()
    if kind == ".npy":
        return np.load(path, allow_pickle=False)
    if kind == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    if kind in (".csv", ".txt"):
        return np.loadtxt(path, delimiter=",", ndmin=2, dtype=np.float64)
    if kind == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return load_weights(path)


def _recognised(content: Any) -> Found:
    if not isinstance(content, Mapping):
        return Found("rows", {"vectors": _rows(content)})
    for key in WRAPPED:
        if isinstance(content.get(key), Mapping):
            return _recognised(content[key])
    for layout in (_own, _orthogonal, _linear, _deep, _support_sets, _components):
        if (found := layout(content)) is not None:
            return found
    arrays = {name: value for name, value in content.items() if isinstance(value, Tensor | np.ndarray)}
    if len(arrays) == 1:
        return Found("rows", {"vectors": _rows(next(iter(arrays.values())))})
    raise ValueError(
        f"keys {', '.join(str(name)[:30] for name in list(content)[:6])} belong to no layout that is known"
    )


def _own(content: Mapping[str, Any]) -> Found | None:
    if "vectors" not in content:
        return None
    tensors = {"vectors": _rows(content["vectors"])}
    if "unit" in content:
        tensors["unit"] = _numbers(content["unit"]).flatten()
        if len(tensors["unit"]) != len(tensors["vectors"]):
            raise ValueError(f"{len(tensors['unit'])} units for {len(tensors['vectors'])} directions")
    return Found("gdbench export", tensors)


def _linear(content: Mapping[str, Any]) -> Found | None:
    if "linear.weight" not in content:
        return None
    bias = content.get("linear.bias")
    lost = bias is not None and bool(_numbers(bias).abs().max() > 0)
    notes = ("the bias, which moves every code alike whatever the direction, is left out",) if lost else ()
    return Found("linear deformator", {"vectors": _rows(_numbers(content["linear.weight"]).T)}, notes)


def _orthogonal(content: Mapping[str, Any]) -> Found | None:
    if "log_mat_half" not in content:
        return None
    half = _numbers(content["log_mat_half"]).double()
    if half.dim() != 2 or half.shape[0] != half.shape[1]:
        raise ValueError(f"log_mat_half is {tuple(half.shape)}, not square")
    return Found("orthogonal deformator", {"vectors": torch.linalg.matrix_exp(half - half.T).T.float()})


def _deep(content: Mapping[str, Any]) -> Found | None:
    if "fc1.weight" in content and "fc4.weight" in content:
        raise ValueError("a deformator with hidden layers: its paths are curved, and only straight ones can be read")
    return None


def _support_sets(content: Mapping[str, Any]) -> Found | None:
    if not {"SUPPORT_SETS", "ALPHAS", "LOGGAMMA"} <= set(content):
        return None
    flat, alphas = _numbers(content["SUPPORT_SETS"]), _numbers(content["ALPHAS"])
    k, m = alphas.shape
    if flat.dim() != 2 or flat.shape[0] != k or flat.shape[1] % m:
        raise ValueError(f"support sets {tuple(flat.shape)} for weights {tuple(alphas.shape)}")
    gamma = _numbers(content["LOGGAMMA"]).exp().reshape(k)
    return Found("support sets", {"supports": flat.reshape(k, m, -1), "alphas": alphas, "gamma": gamma})


def _components(content: Mapping[str, Any]) -> Found | None:
    return Found("components", {"vectors": _rows(content["lat_comp"])}) if "lat_comp" in content else None


def _rows(value: Any) -> Tensor:
    """(k, dim) of numbers; axes of length one between the first and the last go."""
    numbers = _numbers(value)
    if numbers.dim() == 1:
        numbers = numbers[None]
    if numbers.dim() > 2 and set(numbers.shape[1:-1]) == {1}:
        numbers = numbers.flatten(1)
    if numbers.dim() != 2 or 0 in numbers.shape:
        raise ValueError(f"an array of shape {tuple(numbers.shape)}")
    return numbers


def _numbers(value: Any) -> Tensor:
    """Finite float32 numbers."""
    array = value.detach().cpu().float() if isinstance(value, Tensor) else torch.from_numpy(_array(value))
    if not torch.isfinite(array).all():
        raise ValueError("NaN or infinite numbers")
    return array.contiguous()


def _array(value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"values of type {array.dtype}, not numbers")
    return np.ascontiguousarray(array, dtype=np.float32)
