"""`gdbench lpips fetch`: an older name of `gdbench checkpoint fetch lpips`."""

from __future__ import annotations

from typing import Annotated

import typer

from gdbench import fetch_extra, licence_of_extra

lpips = typer.Typer(help="The perceptual distance of natural images.", no_args_is_help=True)


@lpips.callback()
def group() -> None:
    """A group, so that `fetch` keeps its name."""


@lpips.command()
def fetch(yes: Annotated[bool, typer.Option("--yes", help="accept the licence without being asked")] = False) -> None:
    """Download the backbone of LPIPS (244 MB), and check its hash: the same as `gdbench checkpoint fetch lpips`."""
    from gdbench_lpips import BACKBONE

    typer.echo(licence_of_extra(BACKBONE))
    if not yes:
        typer.confirm("Download it under this licence?", abort=True)
    typer.echo(f"fetched {fetch_extra(BACKBONE)}")
