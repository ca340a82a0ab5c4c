"""The pictures of a run: the atlas of strips that every run keeps, and the grid of directions for whoever ran it."""

from __future__ import annotations

from gdbench.context import Reporter
from gdbench.evaluation import pictures
from gdbench.evaluation.subject import Subject
from gdbench.record import RunRecord
from gdbench.runs.store import STRIPS, RunFolder
from gdbench.runs.tables import findings, read_tables
from gdbench.streams import Stream

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
    """Rows of images of all directions, each named by the factor that it moves most."""
    cell = record.cell
    (folder.path / "pictures").mkdir(exist_ok=True)
    image = pictures.direction_grid(
        subject.generator,
        subject.directions,
        subject.calibration,
        subject.codes(3, "pictures"),
        names=leading_factors(folder, subject),
        title=f"{cell.generator}/{cell.checkpoint} x {cell.method}, seed {cell.seed}, {cell.tier}: -t to +t at 0.45",
    )
    pictures.save(image, folder.path / "pictures" / "directions.png")


def leading_factors(folder: RunFolder, subject: Subject) -> dict[int, str]:
    """Direction -> what its + does with its share, or the factor that it moves most (see ``gdbench.Scores``)."""
    if found := findings(folder.path):
        return {one.direction: f"{one.what} {one.share:.2f}" for one in found}
    factors = [factor.name for factor in subject.domain.factors] if subject.domain else []
    for table in read_tables(folder.path).values():
        if "leading" in table:
            return {k: factors[int(j)] for k, j in enumerate(table["leading"]) if 0 <= j < len(factors)}
    return {}
