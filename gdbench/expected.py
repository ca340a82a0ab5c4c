"""What plugins must return, in the words of the contract: each function names the first thing that is wrong, or ""."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.protocols import Scores, Void

GENERATOR = ("spaces", "image_shape", "domain", "device", "dim", "sample", "render")
DOMAIN = ("name", "distance", "factors", "images", "pairs", "truth", "oracle")
DIRECTIONS = ("__len__", "space", "displace", "save")


def wrong_members(value: object, members: Collection[str], kind: str) -> str:
    """What a loaded generator or domain, or found directions, lack."""
    missing = [name for name in members if not hasattr(value, name)]
    return f"{kind} ({type(value).__name__}) has no {', '.join(missing)}" if missing else ""


def wrong_codes(codes: object, n: int, space: str, dim: int) -> str:
    """``sample(n, space, rng)`` gives n finite float32 codes of that space, (n, dim) or (n, layers, dim)."""
    if not isinstance(codes, Codes):
        return f"sample must give Codes, got {type(codes).__name__}"
    latents = codes.latents
    if not isinstance(latents, Tensor):
        return f"latents must be a torch tensor, got {_kind(latents)}"
    if codes.space != space:
        return f"codes say they are in {codes.space!r}, asked for {space!r}"
    if latents.dim() not in (2, 3) or len(latents) != n or latents.shape[-1] != dim:
        return f"latents in {space!r} have shape {tuple(latents.shape)}, expected ({n}, {dim})"
    if latents.dtype != torch.float32:
        return f"latents in {space!r} are {latents.dtype}, expected float32"
    return "" if bool(torch.isfinite(latents).all()) else f"latents in {space!r} hold NaN or infinite values"


def wrong_images(images: object, n: int, shape: Collection[int]) -> str:
    """``render(codes)`` gives a float32 tensor (n, channels, height, width); whether it is finite is not asked here."""
    if not isinstance(images, Tensor):
        return f"render must give a tensor, got {_kind(images)}"
    wanted = (n, *shape)
    if tuple(images.shape) != wanted:
        return f"render: expected shape {wanted}, got {tuple(images.shape)}"
    return "" if images.is_floating_point() else f"render: expected float32, got {images.dtype}"


def wrong_directions(found: Any, k: int, space: str, codes: Codes) -> str:
    """``discover`` returns ``k`` directions in ``space``, which move ``codes`` to finite codes of the same shape."""
    if complaint := wrong_members(found, DIRECTIONS, "what discover returned"):
        return f"returned no Directions: {complaint}"
    if (len(found), found.space) != (k, space):
        return f"returned {len(found)} directions in {found.space!r}, asked for {k} in {space!r}"
    dim, vectors = codes.latents.shape[-1], getattr(found, "vectors", None)
    if isinstance(vectors, Tensor) and vectors.dim() == 2 and vectors.shape[1] != dim:
        return f"directions have {vectors.shape[1]} components, the space {space!r} has {dim} dimensions"
    many = codes[torch.arange(len(codes)).repeat(k)]
    with torch.no_grad():
        moved = found.displace(many, torch.arange(k).repeat_interleave(len(codes)), torch.ones(len(many)))
    if not isinstance(moved, Codes) or moved.latents.shape != many.latents.shape:
        shape = tuple(moved.latents.shape) if isinstance(moved, Codes) else type(moved).__name__
        return f"displace: codes of shape {tuple(many.latents.shape)} became {shape}"
    return "" if bool(torch.isfinite(moved.latents).all()) else "displaced codes hold NaN or infinite values"


def wrong_rng(rng: object) -> str:
    """What draws random numbers takes a ``numpy.random.Generator``."""
    if isinstance(rng, np.random.Generator):
        return ""
    forgotten = ": stream.at(step) gives one" if hasattr(rng, "at") else ""
    return f"rng must be a numpy.random.Generator, got {_kind(rng)}{forgotten}"


def wrong_pictures(images: object, n: int) -> str:
    """``images``, ``pairs`` and ``truth`` of a domain give images (n, c, h, w)."""
    if not isinstance(images, Tensor):
        return f"images must be a tensor, got {_kind(images)}"
    if images.dim() != 4 or len(images) != n or images.shape[1] not in (1, 3):
        return f"images have shape {tuple(images.shape)}, expected ({n}, 1 or 3, h, w)"
    return "" if bool(torch.isfinite(images).all()) else "images hold NaN or infinite values"


def wrong_masks(masks: object, images: Tensor) -> str:
    """Masks of images (n, c, h, w) are tensors (n, h, w)."""
    if not isinstance(masks, Tensor):
        return f"masks must be a tensor, got {_kind(masks)}"
    wanted = (len(images), *images.shape[2:])
    return "" if tuple(masks.shape) == wanted else f"masks have shape {tuple(masks.shape)}, expected {wanted}"


def wrong_embedding(embedded: Any, n: int) -> str:
    """``embed(images)`` gives feature maps [(n, c, h, w)] and pooled features (n, d)."""
    if not (isinstance(embedded, tuple | list) and len(embedded) == 2):
        return f"must give (maps, features), got {_kind(embedded)}"
    maps, pooled = embedded
    if not all(isinstance(layer, Tensor) and layer.dim() == 4 and len(layer) == n for layer in maps):
        return "maps must be tensors (n, c, h, w)"
    if not isinstance(pooled, Tensor) or pooled.dim() != 2 or len(pooled) != n:
        found = f"shape {tuple(pooled.shape)}" if isinstance(pooled, Tensor) else f"type {_kind(pooled)}"
        return f"features have {found}, expected ({n}, d)"
    return ""


def wrong_readings(read: Any, n: int) -> str:
    """``read(images)`` gives factor name -> tensor (n,) or (n, classes)."""
    if not isinstance(read, Mapping):
        return f"must give a mapping of factors, got {_kind(read)}"
    for name, values in read.items():
        if not isinstance(values, Tensor) or values.dim() not in (1, 2) or len(values) != n:
            found = tuple(values.shape) if isinstance(values, Tensor) else _kind(values)
            return f"{name!r} is {found}, expected a tensor ({n},) or ({n}, classes)"
    return ""


def wrong_scores(scores: object, columns: Collection[str], k: int) -> str:
    """``measure`` returns Scores: the declared columns, a number or Void each, and K numbers a column of directions.

    NaN is no fault here: it is a score that is void.
    """
    if not isinstance(scores, Scores):
        return f"measure must return Scores, got {type(scores).__name__}"
    if set(scores.values) != set(columns):
        return f"returned columns {sorted(scores.values)}, declared {sorted(columns)}"
    for name, value in scores.values.items():
        if not isinstance(value, Void) and not _is_number(value):
            return f"{name!r} is a {_kind(value)}, expected a float or Void"
    for name, values in scores.directions.items():
        if not hasattr(values, "__len__") or len(values) != k:
            found = f"{len(values)} entries" if hasattr(values, "__len__") else f"a {_kind(values)}"
            return f"the column {name!r} of directions has {found} for {k} directions"
    for name, images in scores.pictures.items():
        if not isinstance(images, Tensor) or images.dim() != 5:
            return f"the pictures {name!r} must be a tensor (rows, columns, c, h, w)"
    return ""


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | str | bytes) or value is None:
        return False
    return isinstance(value, int | float) or (hasattr(value, "__float__") and getattr(value, "shape", ()) == ())


def _kind(value: object) -> str:
    module = type(value).__module__.partition(".")[0]
    return type(value).__name__ if module in ("builtins", "__main__") else f"{module}.{type(value).__name__}"
