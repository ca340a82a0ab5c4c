"""The command `gdbench acceptance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT = (Path("results/acceptance"), Path("results/lenses"))


def acceptance(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="the runs of benchmarks/acceptance.yaml and lenses.yaml; results/acceptance and lenses"),
    ] = None,
) -> None:
    """Judge the metrics by runs with known answers.

    Writes acceptance.md and acceptance.json into the first folder.
    """
    from gdbench_acceptance.judge import COLUMNS, matrix
    from gdbench_acceptance.page import refusal, write
    from gdbench_acceptance.runs import read

    where = folders or [folder for folder in DEFAULT if folder.exists()] or list(DEFAULT[:1])
    folder, runs = where[0], read(*where)
    cells = matrix(runs)
    write(folder, runs, cells)
    for column in COLUMNS:
        typer.echo(f"{column}: {refusal(cells, column) or 'believed'}")
    typer.echo(f"written: {folder / 'acceptance.md'}")
