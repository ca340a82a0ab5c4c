"""What an explorer shows: runs of one generator with their directions, and the generator itself, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gdbench.directions import load_directions
from gdbench.errors import IntegrityError, MissingFile, UsageError
from gdbench.evaluation.calibration import TENSORS, Calibration
from gdbench.explorer.latents import code_of
from gdbench.params import build
from gdbench.protocols import CodeDependent, Directions, Generator, Programmed, StraightDirections
from gdbench.report.evidence import Evidence, evidence
from gdbench.runs.device import pick_device
from gdbench.runs.inverted import codes_of, read_kept
from gdbench.runs.store import RunFolder
from gdbench.specs import resolve
from gdbench.weights.checkpoints import default_folder, find

if TYPE_CHECKING:
    from torch import Tensor

    from gdbench.codes import Codes
    from gdbench.programs import Program
    from gdbench.record import Cell, RunRecord
    from gdbench.registry import Registry


@dataclass(frozen=True)
class Explored:
    """A run with what its sliders need. vectors: (k, dim) where the directions are straight, else None."""

    evidence: Evidence
    directions: Directions
    calibration: Calibration
    vectors: Tensor | None
    why: str
    """Why there are no vectors, in a sentence, or empty."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one's own, which come before random latents. notes: how faithful the code of each is."""

    names: tuple[str, ...]
    notes: tuple[str, ...]
    codes: Codes


@dataclass(frozen=True)
class Subject:
    """Runs of one generator. programs: space -> program, for those spaces of the runs that have one."""

    generator: Generator
    name: str
    runs: tuple[Explored, ...]
    programs: dict[str, Program]
    pictures: Pictures | None = None

    def code(self, space: str, number: int, chosen: int | None = None) -> Codes:
        """The code (1, dim) of a latent by number: of a picture, where there are as many, else a random one.

        chosen: the class, in place of its own.
        """
        if self.pictures is None or number >= len(self.pictures.names):
            return code_of(self.generator, self.programs.get(space), space, number, chosen)
        own = self.pictures.codes[number : number + 1].to(self.generator.device)
        return own if chosen is None else replace(own, labels=torch.tensor([chosen], device=self.generator.device))


def subject_of(folders: Sequence[Path], registry: Registry, inverted: Path | None = None) -> Subject:
    """The runs in ``folders`` and their generator, on a CPU. inverted: what ``gdbench invert`` made on that generator.

    Raises UsageError where they are of different generators or not calibrated, MissingFile and IntegrityError where
    something is missing or was changed.
    """
    records = [RunFolder(folder).read(verify=True) for folder in folders]
    first = records[0]
    for record, folder in zip(records, folders, strict=True):
        if _weights(record.cell) != _weights(first.cell) or record.checkpoint_sha256 != first.checkpoint_sha256:
            here, there = (f"{cell.generator}/{cell.checkpoint}" for cell in (record.cell, first.cell))
            raise UsageError(
                f"{folder}: a run on {here}, the first is on {there}; side by side they need the same weights and "
                "parameters of the generator"
            )
    generator = _generator(first.cell, first.checkpoint_sha256, registry)
    runs = tuple(
        _explored(evidence(record, folder), folder, generator, registry)
        for record, folder in zip(records, folders, strict=True)
    )
    programs = {}
    if isinstance(generator, Programmed):
        made = {run.directions.space: generator.program(run.directions.space) for run in runs}
        programs = {space: program for space, program in made.items() if program is not None}
    pictures = None if inverted is None else _pictures(inverted, first, runs)
    return Subject(generator, f"{first.cell.generator}/{first.cell.checkpoint}", runs, programs, pictures)


def _pictures(folder: Path, first: RunRecord, runs: Sequence[Explored]) -> Pictures:
    kept = read_kept(folder)
    if kept.weights != first.checkpoint_sha256:
        raise UsageError(f"{folder}: its codes are of other weights than those of {first.id}")
    for run in runs:
        if run.directions.space != kept.space:
            raise UsageError(
                f"{folder}: its codes are in {kept.space}, the directions of {run.evidence.record.id} in "
                f"{run.directions.space}"
            )
    notes = tuple(f"{one.psnr:.1f} dB" for one in kept.pictures)
    return Pictures(tuple(one.file for one in kept.pictures), notes, codes_of(kept))


def _weights(cell: Cell) -> tuple[Any, ...]:
    return cell.generator, cell.checkpoint, dict(cell.generator_params)


def _generator(cell: Cell, sha256: str, registry: Registry) -> Generator:
    spec = registry.generator(cell.generator).spec
    found = find(spec, cell.checkpoint, default_folder(), offline=True)
    if sha256 and found.sha256 != sha256:
        raise IntegrityError(
            f"{cell.generator}/{cell.checkpoint}: these are not the weights of the run (sha256 {found.sha256[:12]}..., "
            f"its record says {sha256[:12]}...)"
        )
    typed: Any = build(spec.params, cell.generator_params, where=f"generator {cell.generator}")
    loaded: Generator = resolve(spec.load)(found.path, typed, pick_device("cpu"))
    return loaded


def _explored(one: Evidence, folder: Path, generator: Generator, registry: Registry) -> Explored:
    try:
        directions = load_directions(folder, registry.packages, generator)
    except FileNotFoundError:
        why = f"{one.record.status} {one.record.reason}".strip()
        raise MissingFile(f"{folder}: no directions are there; the run is {why}") from None
    if not (folder / TENSORS).is_file():
        raise UsageError(f"{folder}: not calibrated, so that no slider has a scale; first: gdbench measure {folder}")
    if isinstance(directions, CodeDependent) and directions.code_dependent:
        vectors, why = None, "these directions differ from code to code."
    elif isinstance(directions, StraightDirections):
        vectors, why = directions.vectors, ""
    else:
        vectors, why = None, "these directions are curved."
    return Explored(one, directions, Calibration.load(folder), vectors, why)
