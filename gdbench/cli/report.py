"""``gdbench report``: pages that open anywhere, computed from records and their stored strips."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.console import complain, say
from gdbench.errors import IntegrityError, UsageError
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``report``."""

    @app.command()
    def report(
        folder: Path = typer.Argument(
            None,
            help="A folder with run folders, or one run folder; the default is that of bench, or runs.",
            autocompletion=options.run_folders,
        ),
        suite: Path = typer.Option(None, help="Take the runs that this suite asks for."),
        out: Path = typer.Option(
            None, metavar="FOLDER", help="Where the pages go; the default is report, beside leaderboard.md or the run."
        ),
        changed: bool = options.CHANGED,
        figures: bool = typer.Option(
            False, "--figures", help="Also draw every chart as SVG, PDF and PNG into figures, with matplotlib."
        ),
        inverted: Path = typer.Option(
            None,
            metavar="FOLDER",
            help="What gdbench invert made with this one run: its pictures, edited, in the page.",
        ),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Write pages that open from disk, without server or network: index.html, one for each generator and run.

        Of one run folder, the page of that run alone. Exits with 5 where a run cannot be believed; others are shown.
        """
        from gdbench.report.figures import write_figures
        from gdbench.report.making import page_of_run, report_of, write
        from gdbench.runs.pool import board_folder, pool_of
        from gdbench.runs.store import RECORD, cannot_write, find_runs
        from gdbench.runs.suite import read_suite

        asked = read_suite(suite) if suite else None
        folder = folder or (pool_of(asked) if asked else options.RUNS)
        alone = (folder / RECORD).is_file()
        if not find_runs(folder):
            raise UsageError(f"{folder}: holds no run; make one with: gdbench run --out {folder} ...")
        if inverted and not alone:
            raise UsageError("--inverted is for the page of one run: name its folder in place of one with many")
        if alone:
            made, home = page_of_run(folder, inverted), folder.absolute().parent
        else:
            made = report_of(folder, options.registry_with(registry, plugin), asked, changed)
            home = board_folder(folder, asked) if asked else folder
        place = out or home / "report"
        with cannot_write(place):
            written = write(made.pages, place, sweep=not alone)
            drawn = write_figures(made.charts, place / "figures") if figures else []
        for problem in made.problems:
            complain(f"not counted: {problem}")
        say(f"{written[0]}: open it in any browser" + ("" if alone else f"; {len(written)} pages in all"))
        if drawn:
            say(f"{place / 'figures'}: {len(drawn)} files of {len(made.charts)} charts")
        if made.problems:
            raise typer.Exit(IntegrityError.exit_code)
