"""``gdbench measure``: more metrics on directions that were found before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gdbench import console
from gdbench.chatter import apart
from gdbench.cli import options, views
from gdbench.errors import GdbenchError, UsageError
from gdbench.registry import Registry

if TYPE_CHECKING:
    from gdbench.record import RunRecord


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``measure``."""

    @app.command(cls=options.with_metric_flags(registry))
    def measure(
        runs: list[Path] = typer.Argument(
            ..., help="Run folders, or folders that hold some.", autocompletion=options.run_folders
        ),
        metric: list[str] = typer.Option(
            ["all"], "--metric", help="A metric's name, or all.", autocompletion=options.completer(registry.metrics)
        ),
        parameter: list[str] = typer.Option(
            None, "-p", metavar="METRIC.NAME=VALUE", help="A parameter of a metric; --METRIC-NAME VALUE is the same."
        ),
        device: str = options.DEVICE,
        threads: int = options.THREADS,
        max_memory: str = options.MAX_MEMORY,
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Measure finished runs with more metrics. Nothing is discovered anew."""
        from gdbench.progress import reporter
        from gdbench.runs import process_group
        from gdbench.runs.pipeline import remeasure
        from gdbench.runs.store import find_runs

        process_group.refuse("measure")
        offers = options.registry_with(registry, plugin)
        folders = [folder for root in runs for folder in find_runs(root)]
        if not folders:
            raise UsageError(f"no run folder in {', '.join(map(str, runs))}: name a folder that holds a record.json")
        given = options.split_assignments(parameter, offers.metrics)
        if given["method_params"] or given["generator_params"]:
            raise UsageError(f"-p {' '.join(parameter)}: here only parameters of metrics can be set, METRIC.NAME=VALUE")
        settings: dict[str, Any] = {"device": device, "threads": threads, "max_memory": max_memory}
        settings["metric_params"] = given["metric_params"]
        shown = reporter()
        failures = 0
        measured: list[tuple[RunRecord, Path]] = []
        for folder in folders:
            try:
                with apart(shown.log):
                    record = remeasure(folder, metric, offers, shown, **settings)
            except GdbenchError as error:
                console.fail(error)
                failures += 1
                continue
            failures += record.status != "done"
            measured.append((record, folder.path))
            if not as_json:
                views.show_run(record, folder.path, offers)
        if as_json:
            views.show_records(measured, single=len(folders) == 1)
        raise typer.Exit(1 if failures else 0)
