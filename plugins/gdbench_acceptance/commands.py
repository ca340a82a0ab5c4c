"""The command `gdbench acceptance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def acceptance(
    folder: Annotated[Path, typer.Argument(help="the runs of benchmarks/acceptance.yaml")] = Path("results/acceptance"),
) -> None:
    """Judge the metrics by runs with known answers; writes acceptance.md and acceptance.json into the folder."""
    from gdbench_acceptance.judge import COLUMNS, matrix
    from gdbench_acceptance.page import refusal, write
    from gdbench_acceptance.runs import read

    runs = read(folder)
    cells = matrix(runs)
    write(folder, runs, cells)
    for column in COLUMNS:
        typer.echo(f"{column}: {refusal(cells, column) or 'believed'}")
    typer.echo(f"written: {folder / 'acceptance.md'}")
