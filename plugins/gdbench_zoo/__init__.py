"""Trains, measures and exports the small checkpoints that gdbench ships: `gdbench zoo train`, `gdbench zoo export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdbench import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def gdbench_commands(app: typer.Typer) -> None:
    """Add `gdbench zoo`."""
    from gdbench_zoo.commands import zoo

    app.add_typer(zoo, name="zoo")
