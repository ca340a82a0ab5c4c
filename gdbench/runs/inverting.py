"""``gdbench invert``: pictures of one's own become codes of a generator, and the directions of a run edit them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gdbench.context import Context, Reporter, ResumePoint
from gdbench.directions import load_directions
from gdbench.errors import IntegrityError, MissingFile, UsageError
from gdbench.evaluation import pictures
from gdbench.evaluation.calibration import TENSORS, Calibration
from gdbench.evaluation.inversion import Inverted, Transfer, invert, transfer
from gdbench.evaluation.prior import moments
from gdbench.files import sha256, write_text
from gdbench.params import build
from gdbench.protocols import CodeDependent, Directions, Domain, Generator
from gdbench.registry import Registry
from gdbench.runs.device import pick_device
from gdbench.runs.drawing import best_first, said
from gdbench.runs.inverted import CODES, EDITS, FACTS, MOST, PAIRS
from gdbench.runs.planning import domain_of
from gdbench.runs.process import terminable
from gdbench.runs.store import RunFolder
from gdbench.specs import resolve
from gdbench.streams import Stream
from gdbench.tensors import save_tensors
from gdbench.weights.checkpoints import default_folder, find
from gdbench.weights.extra_files import all_present

COMPARED = 64
"""Samples that edits of inversions are compared with."""


@dataclass(frozen=True)
class InvertRequest:
    """What ``gdbench invert`` is asked for. run: a run folder whose directions edit the pictures; its space counts."""

    images: tuple[Path, ...]
    gan: str
    checkpoint: str | None = None
    space: str | None = None
    domain: str | None = None
    run: Path | None = None
    steps: int = 500
    seed: int = 0
    device: str = "auto"
    out: Path = Path("inverted")
    generator_params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inversion:
    """What came of it: files in ``folder``, how faithful each picture is, and how edits transfer."""

    folder: Path
    names: tuple[str, ...]
    result: Inverted
    strips: Path | None = None
    transfer: Transfer | None = None


def run_inversion(request: InvertRequest, registry: Registry, reporter: Reporter) -> Inversion:
    """Invert the pictures, or read them back where that was done; then edit them.

    Raises UsageError, MissingFile and IntegrityError. An interrupted one resumes where it was.
    """
    if not request.images:
        raise UsageError("no pictures were given")
    device = pick_device(request.device)
    spec = registry.generator(request.gan).spec
    found = find(spec, request.checkpoint, default_folder(), offline=True)
    known = domain_of(registry, spec, found, request.domain).spec
    all_present(known.files)
    typed: Any = build(spec.params, request.generator_params, where=f"generator {request.gan}")
    generator: Generator = resolve(spec.load)(found.path, typed, device)
    domain: Domain = resolve(known.load)(device)
    edits = _edits(request, registry, generator, found.sha256)
    space = edits.directions.space if edits else request.space or spec.spaces[0]
    targets = torch.stack([picture(path, generator.image_shape) for path in request.images])
    request.out.mkdir(parents=True, exist_ok=True)
    with terminable() as stop:
        resume = ResumePoint(request.out / "resume.pt", stop=stop, warn=reporter.log)
        context = Context(request.seed, device, 1, space, reporter=reporter, resume=resume)
        result = invert(
            generator, domain.oracle("a"), targets, space, moments(generator, space), request.steps, context
        )
        _save(request, result, targets)
        made = Inversion(request.out, tuple(path.name for path in request.images), result)
        if edits:
            made = _edited(made, generator, domain, edits, request)
        facts = {"gan": Path(request.gan).name, "checkpoint": found.name, "weights": found.sha256, "space": space}
        _tell(request, made, facts | {"domain": known.name, "run": edits.run if edits else ""})
        resume.clear()
    return made


def picture(path: Path, shape: Sequence[int]) -> Tensor:
    """The middle of a picture in a generator's shape: (c, h, w) in [-1, 1]. Raises MissingFile or IntegrityError."""
    channels, height, width = shape
    if channels not in (1, 3):
        raise UsageError(f"pictures have 1 or 3 channels, this generator's images {channels}")
    try:
        with Image.open(path) as opened:
            fitted = ImageOps.fit(opened.convert("L" if channels == 1 else "RGB"), (width, height))
    except FileNotFoundError:
        raise MissingFile(f"no such picture: {path}") from None
    except OSError as error:
        raise IntegrityError(f"{path.name}: no readable picture ({' '.join(str(error).split())[:100]})") from None
    pixels = torch.from_numpy(np.asarray(fitted, dtype=np.float32).copy()) / 127.5 - 1
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class _Edits:
    """The directions that are to edit the pictures: of which run, and how far they go."""

    run: str
    folder: Path
    directions: Directions
    calibration: Calibration


def _edits(request: InvertRequest, registry: Registry, generator: Generator, weights: str) -> _Edits | None:
    """The directions of the run that is to edit the pictures, and their calibration."""
    if request.run is None:
        return None
    record = RunFolder(request.run).read(verify=True)
    if record.checkpoint_sha256 != weights or record.cell.generator != request.gan:
        raise UsageError(
            f"{request.run}: a run of {record.cell.generator}/{record.cell.checkpoint}, not of these weights"
        )
    if request.space not in (None, record.cell.space):
        raise UsageError(f"{request.run}: its directions are in {record.cell.space}, not in {request.space}")
    if not (request.run / TENSORS).is_file():
        raise MissingFile(f"{request.run}: {record.status} {record.reason}; it has no calibrated directions")
    directions = load_directions(request.run, registry.packages, generator)
    if isinstance(directions, CodeDependent) and directions.code_dependent:
        raise UsageError(f"{request.run}: its directions differ from code to code, and mean nothing for a picture")
    return _Edits(record.id, request.run, directions, Calibration.load(request.run))


def _save(request: InvertRequest, result: Inverted, targets: Tensor) -> None:
    """The codes, and each picture beside its inversion: for people, and for pages."""
    codes = result.codes
    tensors = {"latents": codes.latents, "labels": codes.labels, "origin": codes.origin}
    save_tensors(request.out / CODES, {n: t.cpu().contiguous() for n, t in tensors.items() if t is not None})
    pairs = torch.stack([targets.cpu(), result.images], 1).flatten(0, 1)
    pictures.save(pictures.sheet(pairs, columns=2, title="picture, inversion"), request.out / "inverted.png")
    pictures.save_tiles(pairs, 1, 2, request.out / PAIRS, MOST)


def _tell(request: InvertRequest, made: Inversion, facts: Mapping[str, object]) -> None:
    """What was inverted and how well, and how edits transfer, as ``gdbench.runs.inverted`` reads it."""
    images = [
        {"file": path.name, "sha256": sha256(path), "distance": float(d), "psnr": float(p)}
        for path, d, p in zip(request.images, made.result.distance, made.result.psnr, strict=True)
    ]
    compared = made.transfer and {"correlation": made.transfer.correlation, "size": made.transfer.size}
    told = {**facts, "steps": request.steps, "seed": request.seed, "transfer": compared, "images": images}
    write_text(request.out / FACTS, json.dumps(told, indent=1))


def _edited(
    made: Inversion,
    generator: Generator,
    domain: Domain,
    edits: _Edits,
    request: InvertRequest,
) -> Inversion:
    """Strips of every direction on the pictures; and where factors are read, whether edits do as on samples."""
    path, codes = made.folder / "strips.png", made.result.codes
    directions, calibration = edits.directions, edits.calibration
    with torch.no_grad():
        pictures.save_atlas(generator, directions, calibration, codes, made.folder / EDITS, MOST)
        rows, dead = best_first(edits.folder, calibration)
        title, names = f"{request.gan}: -t to +t{dead}", said(edits.folder)
        grid = pictures.direction_grid(generator, directions, calibration, codes, rows=rows, names=names, title=title)
    pictures.save(grid, path)
    compared = None
    if domain.factors:
        samples = generator.sample(COMPARED, directions.space, Stream(request.seed, "invert/samples").at())
        b = domain.oracle("b")
        compared = transfer(generator, directions, calibration, b, domain.factors, codes, samples)
    return Inversion(made.folder, made.names, made.result, path, compared)
