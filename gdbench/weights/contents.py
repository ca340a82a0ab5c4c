"""The content of a weights file as data: which tensors it holds and where, and whether they can be what they claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench.errors import IntegrityError
from gdbench.weights.unpickle import Record

CLAIMS = 8
"""Tensors may together be this many times as large as their file (some share their numbers), and ``SLACK`` more."""
SLACK = 1 << 26


def tensors_in(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor, once, with the keys that lead to it joined by dots; containers may share parts and contain one
    another."""
    waiting: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor | Mapping | list | tuple | set | Record):
            if id(value) in seen:
                continue
            seen.add(id(value))
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Record):
            waiting.append((name, value.state))
        elif isinstance(value, Mapping):
            waiting += reversed([(_joined(name, key), part) for key, part in value.items()])
        elif isinstance(value, list | tuple | set):
            waiting += reversed([(_joined(name, number), part) for number, part in enumerate(value)])


def check_claims(content: Any, size: int) -> None:
    """Raise IntegrityError for tensors that are no plain numbers, or claim much more of them than ``size`` bytes hold.

    A tensor of stride 0 takes no room in its file and 40 GB when it is copied.
    """
    claimed = 0
    for name, tensor in tensors_in(content):
        if what := _strange(tensor):
            raise IntegrityError(f"tensor {name[:100]} is {what}: only dense real numbers are read")
        claimed += tensor.numel() * tensor.element_size()
        if claimed > CLAIMS * size + SLACK:
            raise IntegrityError(
                f"its tensors claim more than {claimed / 1e9:.1f} GB (tensor {name[:100]} has shape "
                f"{tuple(tensor.shape)}), and the file has {size / 1e9:.3f} GB"
            )


def _strange(tensor: Tensor) -> str:
    """What a tensor is other than dense real numbers; empty if nothing."""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.is_complex():
        return "complex"
    if tensor.is_quantized:
        return "quantized"
    return "without numbers (on the meta device)" if tensor.device.type != "cpu" else ""


def not_finite(content: Any) -> dict[str, Tensor]:
    """The tensors of a content that hold NaN or an infinity, by name."""
    found = tensors_in(content)
    return {name: t for name, t in found if t.is_floating_point() and not bool(torch.isfinite(t.float()).all())}


def numbers_as_tensors(content: Any) -> Any:
    """The content with arrays in its dicts as tensors; the dicts are changed in place."""
    waiting, seen = [content], set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen or not isinstance(value, dict | list | tuple):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            value.update({key: _as_tensor(part) for key, part in value.items() if isinstance(part, np.ndarray)})
        waiting += value.values() if isinstance(value, dict) else value
    return content


def _as_tensor(array: np.ndarray[Any, Any]) -> Tensor | np.ndarray[Any, Any]:
    native = np.array(array, dtype=array.dtype.newbyteorder("="))
    try:
        return torch.from_numpy(native)
    except TypeError:  # a kind of number that torch does not have
        return array


def _joined(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)
