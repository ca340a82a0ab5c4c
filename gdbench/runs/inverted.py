"""What ``gdbench invert`` leaves in a folder, read back for pages: how faithful codes are, and edits of pictures."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench.errors import IntegrityError, MissingFile, UsageError
from gdbench.evaluation.pictures import Atlas, read_atlas
from gdbench.files import parsing, read_bytes

if TYPE_CHECKING:
    from gdbench.codes import Codes
    from gdbench.record import RunRecord

FACTS, CODES = "inversion.json", "codes.safetensors"
PAIRS, EDITS = "pairs.webp", "strips.webp"
"""Atlases: each picture beside its inversion, and the strips of all directions of a run on the pictures."""
LONGEST = 1 << 24
MOST = 500_000
"""Bytes of an atlas of edits at most."""


@dataclass(frozen=True)
class Picture:
    """A picture and its inversion. distance: as a share of that of two independent images. psnr: in dB."""

    file: str
    distance: float
    psnr: float


@dataclass(frozen=True)
class Kept:
    """The inversions in a folder. weights: SHA-256 of the checkpoint. run: whose directions edited them, or "".

    transfer: correlation and size of edits of these pictures beside edits of samples; None where nobody compared them.
    """

    folder: Path
    weights: str
    space: str
    run: str
    pictures: tuple[Picture, ...]
    transfer: tuple[float, float] | None = None

    @property
    def pairs(self) -> tuple[Path, Atlas]:
        """A row for each picture: the picture, its inversion. Raises IntegrityError."""
        return self.folder / PAIRS, read_atlas(self.folder / PAIRS)

    @property
    def edits(self) -> tuple[Path, Atlas]:
        """A row for each direction, a block for each picture. Raises IntegrityError."""
        return self.folder / EDITS, read_atlas(self.folder / EDITS)


def read_kept(folder: Path) -> Kept:
    """The inversions in ``folder``. Raises MissingFile, and IntegrityError for files that it did not write."""
    path = folder / FACTS
    if not path.is_file():
        raise MissingFile(
            f"{folder}: no {FACTS} is there; make it with: gdbench invert PICTURE... --run RUN --out {folder}"
        )
    with parsing(path):
        told = json.loads(read_bytes(path, LONGEST))
        kept = _kept(folder, told)
    if not all(math.isfinite(value) for one in kept.pictures for value in (one.distance, one.psnr)):
        raise IntegrityError(f"{path}: distances and PSNR must be numbers")
    return kept


def _kept(folder: Path, told: Any) -> Kept:
    pictures = tuple(Picture(str(one["file"]), float(one["distance"]), float(one["psnr"])) for one in told["images"])
    transfer = told["transfer"] and (float(told["transfer"]["correlation"]), float(told["transfer"]["size"]))
    return Kept(folder, str(told["weights"]), str(told["space"]), str(told["run"]), pictures, transfer)


def fitting(kept: Kept, record: RunRecord) -> Kept:
    """The inversions, where the directions of this run edited them. Raises UsageError."""
    if kept.run != record.id:
        raise UsageError(
            f"{kept.folder}: its pictures were edited by {kept.run or 'no run'}, not by {record.id}; first: gdbench "
            f"invert PICTURE... --gan {record.cell.generator} --run FOLDER_OF_THE_RUN"
        )
    return kept


def codes_of(kept: Kept) -> Codes:
    """The codes of the pictures, on a CPU. Raises IntegrityError."""
    from gdbench.codes import Codes
    from gdbench.tensors import load_tensors

    path = kept.folder / CODES
    if not path.is_file():
        raise MissingFile(f"{kept.folder}: no {CODES} is there")
    tensors = load_tensors(path)
    if "latents" not in tensors or len(tensors["latents"]) != len(kept.pictures):
        raise IntegrityError(f"{path}: not the codes of the {len(kept.pictures)} pictures that {FACTS} names")
    return Codes(tensors["latents"], kept.space, tensors.get("labels"), tensors.get("origin"))
