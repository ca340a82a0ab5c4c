"""The acceptance of metrics: `gdbench acceptance FOLDER` judges each against known answers.

PROTOCOL, "Which columns may rank".

What metrics are tried on, directions and generators that nobody would want to benchmark, is offered by ``offers.py``,
which only the suite loads: ``gdbench bench benchmarks/acceptance.yaml --plugin plugins/gdbench_acceptance/offers.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdbench import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def gdbench_commands(app: typer.Typer) -> None:
    """Add `gdbench acceptance`."""
    from gdbench_acceptance.commands import acceptance

    app.command()(acceptance)
