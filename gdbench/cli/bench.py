"""``gdbench bench``: a suite, cell by cell in child processes, and its leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from gdbench.cli import options
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``bench``."""

    @app.command()
    def bench(
        suite: Path = typer.Argument(..., help="A YAML file, as those in benchmarks/."),
        out: Path = typer.Option(
            None,
            help="Folder for run folders, which suites share; the default is results/runs, or runs without results.",
        ),
        jobs: int = typer.Option(1, min=1, help="Cells at a time; give each one --threads."),
        only: str = typer.Option("", help="Only cells whose name contains this text."),
        timeout: float = typer.Option(None, min=1, help="Seconds of wall-clock per cell."),
        device: str = options.DEVICE,
        threads: int = options.THREADS,
        max_memory: str = options.MAX_MEMORY,
        offline: bool = options.OFFLINE,
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Run what a suite lacks, and write its leaderboard. Each cell runs in a process of its own."""
        from dataclasses import replace

        from gdbench import progress
        from gdbench.cli import boards
        from gdbench.runs import process_group
        from gdbench.runs.bench import Bench
        from gdbench.runs.planning import plan_all
        from gdbench.runs.pool import is_complete_in_pool, pool_of
        from gdbench.runs.suite import read_suite

        process_group.refuse("bench")
        offers = options.registry_with(registry, plugin)
        asked = read_suite(suite)
        out = out or pool_of(asked)
        given: dict[str, Any] = {"device": device, "threads": threads, "max_memory": max_memory, "offline": offline}
        requests = [replace(request, out=out, **given) for request in asked.requests]
        plans = [made for made in plan_all(requests, offers) if only in made.id]
        waiting = [made for made in plans if not is_complete_in_pool(made, offers)]
        reporter = progress.reporter()
        reporter.log(f"{asked.name}: {len(plans)} cells, {len(plans) - len(waiting)} of them done already")
        failures = 0
        for outcome in Bench(jobs, timeout, tuple(plugin or ())).run(waiting, reporter):
            failures += outcome.status not in ("done", "incompatible")
            reporter.log(f"{outcome.plan.id}: {outcome.status} in {outcome.seconds:.0f} s {outcome.reason}".rstrip())
        boards.write_leaderboard(out, offers, asked, as_json=as_json)
        raise typer.Exit(1 if failures else 0)
