"""``gdbench reproduce``: a run made again from its record alone, and compared."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from gdbench.chatter import apart
from gdbench.cli import options
from gdbench.console import complain, print_json, say
from gdbench.errors import IntegrityError
from gdbench.registry import Registry

if TYPE_CHECKING:
    from gdbench.runs.reproducing import Verdict


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``reproduce``."""

    @app.command()
    def reproduce(
        runs: list[Path] = typer.Argument(..., help="Run folders.", autocompletion=options.run_folders),
        start: Literal["directions", "scratch"] = typer.Option(
            "directions", "--from", help="directions: calibrate and measure again; scratch: discover again, too."
        ),
        device: str = typer.Option("auto", help="auto (as recorded), cpu, cuda or cuda:N."),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Make runs again from their records alone and compare, with one line for each number that differs.

        From directions every score must agree to 1e-3. From scratch the directions must be the same bit for bit on the
        same kind of processor, threads and torch; elsewhere scores must lie within three standard deviations of the
        seeds beside the run. Says which of the two held; exits with 5 where neither does, with 1 where nothing can be
        said.
        """

        offers = options.registry_with(registry, plugin)
        verdicts = [made_again(run, offers, start, device) for run in runs]
        for verdict in verdicts:
            for difference in verdict.differences:
                complain(f"{verdict.run}: {difference}")
            if not as_json:
                say(verdict)
        if as_json:
            print_json([as_row(verdict) for verdict in verdicts])
        failed = any(verdict.held is False for verdict in verdicts)
        open_ = any(verdict.held is None for verdict in verdicts)
        raise typer.Exit(IntegrityError.exit_code if failed else int(open_))


def made_again(run: Path, registry: Registry, start: Literal["directions", "scratch"], device: str) -> Verdict:
    """The verdict on one run; what plugins print goes where messages go."""
    from gdbench.progress import reporter
    from gdbench.runs.reproducing import reproduce
    from gdbench.runs.store import RunFolder

    shown = reporter()
    with apart(shown.log):
        return reproduce(RunFolder(run), registry, start, shown, device)


def as_row(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON."""

    return {**asdict(verdict), "said": str(verdict)}
