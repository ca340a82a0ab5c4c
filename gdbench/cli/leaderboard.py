"""``gdbench leaderboard``: the table computed from the records in a folder."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``leaderboard``."""

    @app.command()
    def leaderboard(
        folder: Path = typer.Argument(options.RUNS, help="A folder with run folders."),
        suite: Path = typer.Option(None, help="The suite they belong to: says how many seeds are expected."),
        write: bool = typer.Option(False, "--write", help="Also write leaderboard.md, .csv and .json into the folder."),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Rank the methods of each generator; a pure function of the records."""
        from gdbench.cli import views
        from gdbench.errors import UsageError
        from gdbench.runs.store import find_runs
        from gdbench.runs.suite import read_suite

        offers = options.registry_with(registry, plugin)
        asked = read_suite(suite) if suite else None
        if not find_runs(folder):
            raise UsageError(f"{folder}: holds no run; make one with: gdbench run --out {folder} ...")
        views.write_leaderboard(folder, offers, asked, as_json=as_json, write=write)
