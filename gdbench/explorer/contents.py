"""What the page is told, as plain values: the generator's program, and each run with directions, scores and vectors."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from gdbench.boards.cells import short
from gdbench.console import clean
from gdbench.explorer.frames import frames_of
from gdbench.explorer.latents import code_of
from gdbench.report.evidence import Direction

if TYPE_CHECKING:
    from gdbench.explorer.subject import Explored, Subject
    from gdbench.programs import Program
    from gdbench.specs import Column

LARGEST_PAGE = 8_000_000
"""Bytes of a page at most."""
LARGEST_PROGRAM = 5_000_000
"""Bytes of tensors that a page carries; a larger generator is pre-rendered."""
SCRIPTS = 200_000
"""Bytes that are kept free for markup, scripts and numbers."""
AGREEMENT = 5e-4
"""Largest difference of a pixel, as a share of its range, by which tensors may be rounded to half precision."""
CHIPS = 4

Columns = Mapping[str, Sequence["Column"]]


def contents(
    subject: Subject, columns: Columns, latents: int, blind: bool = False, served: bool = False
) -> dict[str, Any]:
    """The data of the page. latents: how many are pre-rendered. blind: no method is named anywhere in it.

    Raises UsageError where frames do not fit in the page.
    """
    tensors, programs = _programs(subject)
    live = [run.vectors is not None and _space(run) in programs for run in subject.runs]
    frozen = 0 if served else live.count(False)
    most = (LARGEST_PAGE - SCRIPTS - 4 * len(tensors) // 3) // max(frozen, 1)
    runs = []
    pictures = _pictures(subject)
    for place, number in enumerate(order_of(subject, blind)):
        run = subject.runs[number]
        told = _run(run, columns) | {"index": place, "why": run.why or "the generator is too large to run in a page."}
        if blind:
            told |= {"name": _letter(place), "id": "", "seed": 0, "role": "method", "scores": []}
        if not live[number] and not served:
            told["frames"] = asdict(frames_of(subject, run, max(latents, len(pictures)), most))
        runs.append(told)
    generator = {
        "name": clean(subject.name),
        "shape": list(subject.generator.image_shape),
        "classes": max((one.classes for one in subject.programs.values()), default=0) if programs or served else 0,
        "programs": programs,
        "tensors": base64.b64encode(tensors).decode(),
        "pictures": pictures,
    }
    return {"generator": generator, "runs": runs, "factors": _factors(subject), "blind": blind, "served": served}


def _pictures(subject: Subject) -> list[dict[str, Any]]:
    """Pictures of one's own: name, how faithful the code is, the code, and its class or class vector, or None."""
    if subject.pictures is None:
        return []
    codes = subject.pictures.codes
    labels = [None] * len(codes) if codes.labels is None else codes.labels.tolist()
    return [
        {"name": clean(name), "note": note, "code": _digits(latent.flatten()), "label": label}
        for name, note, latent, label in zip(
            subject.pictures.names, subject.pictures.notes, codes.latents, labels, strict=True
        )
    ]


def shuffled_names(subject: Subject) -> list[tuple[str, str]]:
    """What a blind page calls each run, and which run it is."""
    ids = [subject.runs[number].evidence.record.id for number in order_of(subject, True)]
    return [(_letter(place), run) for place, run in enumerate(ids)]


def _letter(place: int) -> str:
    return f"Method {chr(65 + place % 26)}"


def order_of(subject: Subject, blind: bool) -> list[int]:
    """The order of runs in the page: as they were named, or one that does not follow from that."""
    if not blind:
        return list(range(len(subject.runs)))
    ids = [f"blind {run.evidence.record.id}".encode(errors="replace") for run in subject.runs]
    return sorted(range(len(ids)), key=lambda place: hashlib.sha256(ids[place]).hexdigest())


def _space(run: Explored) -> str:
    return run.directions.space


def _factors(subject: Subject) -> list[str]:
    named = (factor for run in subject.runs for one in run.evidence.directions for factor in one.shares)
    return list(dict.fromkeys(clean(factor) for factor in named))


def _run(run: Explored, columns: Columns) -> dict[str, Any]:
    record = run.evidence.record
    known = {one.index: one for one in run.evidence.directions}
    curves = _curves(run)
    vectors = None if run.vectors is None else run.vectors.detach().cpu().float().contiguous().numpy().tobytes()
    return {
        "id": clean(record.id),
        "name": clean(record.cell.method),
        "seed": record.cell.seed,
        "space": clean(_space(run)),
        "role": clean(record.role),
        "scores": _scores(run, columns),
        "directions": [_direction(known.get(k, Direction(k)), curves[k]) for k in range(len(run.directions))],
        "vectors": None if vectors is None else base64.b64encode(vectors).decode(),
        "frames": None,
    }


def _direction(one: Direction, curves: list[list[list[float]]]) -> dict[str, Any]:
    shares = {clean(name): round(share, 3) for name, share in one.shares.items()}
    told = {"plus": clean(one.plus), "leading": clean(one.leading), "share": round(one.share, 3)}
    return told | {"shares": shares, "curves": curves}


def _curves(run: Explored) -> list[list[list[list[float]]]]:
    """For each direction and sign (+ first) its magnitudes and the visible change there, without repeated ends."""
    made = []
    for points, changes in zip(run.calibration.magnitudes, run.calibration.change, strict=True):
        made.append([[_digits(points[sign]), _digits(changes[sign])] for sign in range(2)])
    return made


def _digits(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def _scores(run: Explored, columns: Columns) -> list[list[str]]:
    """The columns of the short table that the run has: name, number, meaning."""
    found = []
    for metric, own in columns.items():
        for column in own:
            score = run.evidence.record.scores.get(metric, {}).get(column.name)
            if score is not None and score.value is not None and (column.headline or column.brief):
                found.append([clean(column.name), short(score.value), clean(column.summary)])
    return found[:CHIPS]


def _programs(subject: Subject) -> tuple[bytes, dict[str, Any]]:
    """The tensors of all programs as one safetensors file, and space -> program; none where they are too large."""

    programs = {space: _compact(subject, space, program) for space, program in subject.programs.items()}
    names: dict[tuple[Any, ...], str] = {}
    tensors: dict[str, Tensor] = {}
    told = {}
    for space, program in programs.items():
        renamed = {}
        for name, tensor in program.tensors.items():
            key = tuple(tensor.shape), tensor.dtype, hashlib.sha256(tensor.numpy().tobytes()).digest()
            renamed[name] = names.setdefault(key, str(len(names)))
            tensors[renamed[name]] = tensor
        told[space] = _told(program, renamed)
    data = save(tensors) if tensors else b""
    return (data, told) if len(data) <= LARGEST_PROGRAM else (b"", {})


def _told(program: Program, names: Mapping[str, str]) -> dict[str, Any]:
    parts = {
        part: [asdict(op) | {"tensors": {role: names[name] for role, name in op.tensors.items()}} for op in ops]
        for part, ops in (("draw", program.draw), ("render", program.render))
    }
    return {**parts, "normals": program.normals, "label": program.label}


def _compact(subject: Subject, space: str, program: Program) -> Program:
    """The program with tensors in half precision: those that lose nothing, or all where images stay the same."""
    halves = {name: tensor.half() for name, tensor in program.tensors.items()}
    rounded = replace(program, tensors=halves)
    exact = {name for name, half in halves.items() if torch.equal(half.float(), program.tensors[name])}
    if len(exact) == len(halves):
        return rounded
    if all(_apart(subject, space, program, rounded, number) <= AGREEMENT for number in range(4)):
        return rounded
    kept = {name: halves[name] if name in exact else tensor for name, tensor in program.tensors.items()}
    return replace(program, tensors=kept)


def _apart(subject: Subject, space: str, program: Program, rounded: Program, number: int) -> float:
    """The largest difference of a pixel of one latent, as a share of the range; not a number where one is not."""
    code = code_of(subject.generator, program, space, number)
    label = None if code.labels is None else torch.eye(program.classes)[int(code.labels[0])]
    true, near = (one.image(code.latents[0].cpu(), label) for one in (program, rounded))
    return float((true - near).abs().max()) / 2
