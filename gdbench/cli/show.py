"""``gdbench show``: a run again, from its folder alone."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options, views
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``show``."""

    @app.command()
    def show(
        run: Path = typer.Argument(..., help="A run folder.", autocompletion=options.run_folders),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Show the scores of a run. The hash of each of its files is checked first."""
        from gdbench.runs.store import RunFolder

        offers = options.registry_with(registry, plugin)
        views.show_run(RunFolder(run).read(verify=True), run, offers, as_json=as_json)
