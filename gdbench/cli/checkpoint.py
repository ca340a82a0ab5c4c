"""``gdbench checkpoint``: import, fetch, list and verify weights."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``checkpoint``."""
    group = typer.Typer(help="Weights: import official files, fetch, list, verify.", no_args_is_help=True)
    app.add_typer(group, name="checkpoint")

    @group.command("import")
    def import_(
        path: Path = typer.Argument(..., help="An official file or folder, in any format that a family knows."),
        name: str = typer.Option(None, help="The name it gets; the default is that of the file."),
        domain: str = typer.Option("unknown", help="What its images show."),
        licence: str = typer.Option("unknown", help="The licence of the weights."),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Convert official weights to safetensors with a card, in the user's checkpoint folder."""
        from gdbench import checkpoints

        offers = options.registry_with(registry, plugin)
        card = checkpoints.import_checkpoint(path, offers, name=name, domain=domain, licence=licence)
        typer.echo(f"imported {card.name}; use it with --checkpoint {card.name}")
