"""``gdbench export``: the directions of a run as files for elsewhere, with strips and films."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.console import complain, say
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``export``."""

    @app.command()
    def export(
        run: Path = typer.Argument(..., help="A run folder.", autocompletion=options.run_folders),
        direction: list[int] = typer.Option(
            None, "--direction", "-d", min=0, help="Draw this direction as grid, GIF and MP4; may be given again."
        ),
        codes: int = typer.Option(4, min=1, max=16, help="Images side by side in a GIF or MP4."),
        device: str = options.DEVICE,
        out: Path = typer.Option(
            None, metavar="FOLDER", help="Where files go; the default is export/RUN, beside the run."
        ),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Write the directions of a run as safetensors, npy and CSV, with a card and a picture of their strips.

        gdbench import-directions reads them back. Drawing needs the generator; MP4 needs ffmpeg on the path.
        """
        from gdbench.report.exporting import export as exported
        from gdbench.runs.api import read_run
        from gdbench.runs.store import cannot_write

        folder = out or run.absolute().parent / "export" / run.absolute().name
        with cannot_write(folder):
            made = exported(read_run(run, plugin or ()), folder, direction or (), codes, device)
        for file in made.files:
            say(str(file))
        for line in made.lacking:
            complain(f"not written: {line}")
