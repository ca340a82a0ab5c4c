"""``gdbench doctor``: what this machine can do, and what is missing."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options, views
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``doctor``."""

    @app.command()
    def doctor(plugin: list[Path] = options.PLUGIN, as_json: bool = options.JSON) -> None:
        """Check the installation. Versions, device, shipped weights, broken plugins."""
        from gdbench.runs.environment import describe
        from gdbench.weights import checkpoints

        offers = options.registry_with(registry, plugin)
        facts: dict[str, object] = dict(describe())
        problems = [f"plugin broken: {fault}" for fault in offers.broken]
        specs = [offer.spec for offer in offers.generators.values()]
        verdicts = checkpoints.verify(specs, checkpoints.default_folder())
        problems += [f"{v.family}/{v.name} is {v.state}: {v.detail}" for v in verdicts if v.state == "damaged"]
        views.show_doctor(facts, problems, as_json=as_json)
        raise typer.Exit(1 if problems else 0)
