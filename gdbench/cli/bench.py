"""``gdbench bench`` and ``gdbench work``: a suite, cell by cell in processes of their own, and its leaderboard."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.errors import IntegrityError, UsageError
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``bench`` and ``work``."""
    _add_bench(app, registry)
    _add_work(app, registry)


def _add_bench(app: typer.Typer, registry: Registry) -> None:
    @app.command()
    def bench(
        suite: Path = typer.Argument(..., help="A YAML file, as those in benchmarks/."),
        out: Path = typer.Option(
            None,
            help="Folder for run folders, which suites share; the default is results/runs, or runs without results.",
        ),
        jobs: int = typer.Option(
            None, min=1, help="Cells at a time; give each one --threads. The default is 1 here, no bound elsewhere."
        ),
        only: str = typer.Option("", help="Only cells whose name contains this text."),
        timeout: float = typer.Option(None, min=1, help="Seconds of wall-clock per cell."),
        engine: str = options.ENGINE,
        parameter: list[str] = options.ENGINE_PARAMETER,
        submit_only: bool = typer.Option(False, "--submit-only", help="Hand the cells to the engine and leave."),
        device: str = options.DEVICE,
        threads: int = options.THREADS,
        max_memory: str = options.MAX_MEMORY,
        offline: bool = options.OFFLINE,
        changed: bool = options.CHANGED,
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Run what a suite lacks, and write its leaderboard. Each cell runs in a process of its own.

        Exits with 1 where a cell failed, else with 5 where a run was left off the leaderboard: it cannot be believed,
        or is of changed code.
        """
        from gdbench.cli import boards, grids
        from gdbench.runs import process_group

        process_group.refuse("bench")
        offers = options.registry_with(registry, plugin)
        given = {"device": device, "threads": threads, "max_memory": max_memory, "offline": offline}
        grid = grids.grid_of(suite, out, given, offers, only)
        if submit_only and not offers.engine(engine).spec.detached:
            raise UsageError(f"--submit-only: the jobs of engine {engine} end with the bench; leave it running")
        started = grids.start(grid, offers, engine, options.assignments(parameter), jobs, timeout)
        failures = grids.work(grid, started, plugin or (), submits=submit_only)
        left = 0 if submit_only else boards.write_leaderboard(grid.out, offers, grid.suite, as_json, changed)
        raise typer.Exit(1 if failures else IntegrityError.exit_code if left else 0)


def _add_work(app: typer.Typer, registry: Registry) -> None:
    @app.command()
    def work(
        suite: Path = typer.Argument(..., help="A YAML file, as those in benchmarks/."),
        out: Path = typer.Option(None, help="The folder of runs that all machines see; the default is that of bench."),
        jobs: int = typer.Option(1, min=1, help="Cells at a time; give each one --threads."),
        only: str = typer.Option("", help="Only cells whose name contains this text."),
        timeout: float = typer.Option(None, min=1, help="Seconds of wall-clock per cell."),
        parameter: list[str] = options.ENGINE_PARAMETER,
        device: str = options.DEVICE,
        threads: int = options.THREADS,
        max_memory: str = options.MAX_MEMORY,
        offline: bool = options.OFFLINE,
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Take cells that nobody holds until none is left. Start it on as many machines as see the folder."""
        from gdbench.cli import grids
        from gdbench.runs import process_group

        process_group.refuse("work")
        offers = options.registry_with(registry, plugin)
        given = {"device": device, "threads": threads, "max_memory": max_memory, "offline": offline}
        grid = grids.grid_of(suite, out, given, offers, only)
        started = grids.start(grid, offers, options.LOCAL, options.assignments(parameter), jobs, timeout)
        raise typer.Exit(1 if grids.work(grid, started, plugin or (), stays=False) else 0)
