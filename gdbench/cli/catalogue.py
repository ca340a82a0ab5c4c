"""``gdbench list``, ``gdbench info`` and ``gdbench check-plugin``: what there is, and whether it keeps its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from gdbench.cli import options, views
from gdbench.registry import Registry

Noun = Literal["all", "generators", "checkpoints", "methods", "metrics", "domains", "engines", "plugins", "runs"]


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``list``, ``info`` and ``check-plugin``."""
    names = sorted({name for offers in registry.offers().values() for name in offers})

    @app.command("list")
    def list_(
        noun: Noun = typer.Argument("all", help="What to list."),
        folder: Path = typer.Option(options.RUNS, help="Where runs are looked for."),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """List what is installed, or runs.

        Generators and their checkpoints, methods, metrics, domains, engines and plugins, each with its source.
        """

        views.show_list(noun, options.registry_with(registry, plugin), folder, as_json=as_json)

    @app.command()
    def info(
        name: str = typer.Argument(..., help="A name from the list.", autocompletion=options.completer(names)),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Describe one generator, method, metric, domain or engine. Parameters, tiers, columns, checkpoints, source."""

        views.show_info(name, options.registry_with(registry, plugin), as_json=as_json)

    @app.command("check-plugin")
    def check_plugin(
        name: str = typer.Argument(..., help="A name from the list.", autocompletion=options.completer(names)),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Run the contract checks of one offer of a plugin."""
        from gdbench.progress import reporter
        from gdbench.testing import check_plugin as run_checks
        from gdbench.testing import verdict

        offers = options.registry_with(registry, plugin)
        results = run_checks(name, offers, reporter())
        views.show_checks(name, results, verdict(name, results), as_json=as_json)
        raise typer.Exit(1 if any(result.status == "failed" for result in results) else 0)
