"""The pictures of a run: the atlas of strips that every run keeps, and the grid of directions for whoever ran it."""

from __future__ import annotations

from pathlib import Path

from gdbench.context import Reporter
from gdbench.evaluation import pictures
from gdbench.evaluation.calibration import Calibration
from gdbench.evaluation.subject import Subject
from gdbench.record import RunRecord
from gdbench.runs.store import STRIPS, RunFolder
from gdbench.runs.tables import findings, read_tables
from gdbench.streams import Stream

NAMED = 12
"""Dead directions that a title names."""
SHOWN = 2
"""Codes in the atlas; the same for every seed, so that strips of different runs show the same images."""


def draw(folder: RunFolder, subject: Subject, record: RunRecord, reporter: Reporter, grid: bool) -> None:
    """The strips, where there are none of this calibration, and with ``grid`` the grid; a fault spoils no numbers."""
    try:
        if not (folder.path / STRIPS).exists():
            codes = subject.generator.sample(SHOWN, subject.space, Stream(0, "pictures").at())
            made = subject.generator, subject.directions, subject.calibration, codes
            pictures.save_atlas(*made, folder.path / STRIPS)
        if grid:
            _draw_grid(folder, subject, record)
    except (ValueError, ImportError) as error:
        reporter.log(f"no picture was made: {error}")


def _draw_grid(folder: RunFolder, subject: Subject, record: RunRecord) -> None:
    """Rows of images of the living directions, those that do most of one thing first, each with what it does."""
    cell = record.cell
    (folder.path / "pictures").mkdir(exist_ok=True)
    rows, dead = best_first(folder.path, subject.calibration)
    title = f"{cell.generator}/{cell.checkpoint} x {cell.method}, seed {cell.seed}, {cell.tier}: -t to +t at 0.45{dead}"
    image = pictures.direction_grid(
        subject.generator,
        subject.directions,
        subject.calibration,
        subject.codes(3, "pictures"),
        rows=rows,
        names=leading_factors(folder, subject),
        title=title,
    )
    pictures.save(image, folder.path / "pictures" / "directions.png")


def best_first(folder: Path, calibration: Calibration) -> tuple[list[int], str]:
    """The living directions of a run, the purest first, and what a title says of dead ones: "; 2 dead: 3, 7", or "".

    All of them where none is alive.
    """
    share = {one.direction: one.share for one in findings(folder)}
    gone = calibration.dead.all(1).tolist()
    order = sorted(range(len(gone)), key=lambda index: (-share.get(index, 0.0), index))
    living, dead = [index for index in order if not gone[index]], [index for index, one in enumerate(gone) if one]
    if not dead or not living:
        return order, ""
    named = ", ".join(map(str, dead[:NAMED])) + (", ..." if len(dead) > NAMED else "")
    return living, f"; {len(dead)} dead: {named}"


def said(folder: Path) -> dict[int, str]:
    """Direction -> what its + does with the share of it ("moves right .68"); empty where no metric says."""
    return {one.direction: f"{one.what} {f'{one.share:.2f}'.removeprefix('0')}" for one in findings(folder)}


def leading_factors(folder: RunFolder, subject: Subject) -> dict[int, str]:
    """Direction -> what its + does with its share, or the factor that it moves most (see ``gdbench.Scores``)."""
    if found := said(folder.path):
        return found
    factors = [factor.name for factor in subject.domain.factors] if subject.domain else []
    for table in read_tables(folder.path).values():
        if "leading" in table:
            return {k: factors[int(j)] for k, j in enumerate(table["leading"]) if 0 <= j < len(factors)}
    return {}
