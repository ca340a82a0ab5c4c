"""``gdbench leaderboard``: the tables computed from the records in a folder."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.console import complain, say
from gdbench.errors import IntegrityError, UsageError
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``leaderboard``."""

    @app.command()
    def leaderboard(
        folder: Path = typer.Argument(None, help="A folder with run folders; the default is that of bench, or runs."),
        suite: Path = typer.Option(
            None, help="Take the runs that this suite asks for; its files lie in the folder of its name."
        ),
        everything: bool = typer.Option(False, "--all", help="All metrics, with intervals; ranks across generators."),
        write: bool = typer.Option(
            False, "--write", help="Also write leaderboard.md, .csv, .json, .tex and .parquet into the folder."
        ),
        check: bool = typer.Option(False, "--check", help="Only say whether these files are what the records give."),
        changed: bool = options.CHANGED,
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Rank the methods of each generator, from records alone.

        Exits with 5 where a run was left off: it cannot be believed, or is of changed code; with --check where a
        file differs.
        """
        from gdbench.boards import exports
        from gdbench.cli import boards
        from gdbench.runs.pool import board_folder, pool_of
        from gdbench.runs.store import find_runs
        from gdbench.runs.suite import read_suite

        offers = options.registry_with(registry, plugin)
        asked = read_suite(suite) if suite else None
        folder = folder or (pool_of(asked) if asked else options.RUNS)
        home = board_folder(folder, asked) if asked else folder
        if not find_runs(folder):
            raise UsageError(f"{folder}: holds no run; make one with: gdbench run --out {folder} ...")
        made, problems = boards.read_leaderboard(folder, offers, asked, changed)
        if check:
            wrong = [*(f"not counted: {line}" for line in problems), *exports.differences(made, home)]
            for line in wrong:
                complain(line)
            if wrong:
                raise typer.Exit(IntegrityError.exit_code)
            return say(f"{home}: the leaderboard is what the records give")
        if write:
            home.mkdir(parents=True, exist_ok=True)
            exports.write(made, home)
        boards.show_leaderboard(made, problems, as_json, everything)
        if boards.left_off(made, problems, folder):
            raise typer.Exit(IntegrityError.exit_code)
        return None
