"""``gdbench explore``: a page with a slider for each direction, in which a small generator runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gdbench.cli import options
from gdbench.console import say
from gdbench.registry import Registry

if TYPE_CHECKING:
    from gdbench.explorer.making import Made


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``explore``."""

    @app.command()
    def explore(
        runs: list[Path] = typer.Argument(
            ..., metavar="RUN...", help="Run folders of one generator.", autocompletion=options.run_folders
        ),
        out: Path = typer.Option(Path("explore.html"), metavar="FILE", help="Where the page goes."),
        latents: int = typer.Option(
            4, min=1, max=32, help="How many latents are rendered beforehand, where a page cannot draw itself."
        ),
        blind: bool = typer.Option(
            False, "--blind", help="Name no method in the page; what each letter stands for is printed."
        ),
        serve: bool = typer.Option(
            False, "--serve", help="Serve the page on this machine until Ctrl-C; what it cannot draw is rendered here."
        ),
        port: int = typer.Option(0, min=0, max=65535, help="Where to serve; 0 is a free one."),
        inverted: Path = typer.Option(
            None, metavar="FOLDER", help="What gdbench invert made: its pictures come before random latents."
        ),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Write one page with sliders for the directions of runs; it opens from disk, without server or network.

        The generator itself runs in it where its family says how, and draws straight directions as one moves a slider;
        everything else is rendered beforehand. Two methods stand side by side on the same latents.
        """
        from gdbench.explorer.making import explorer_of
        from gdbench.explorer.page import refuse_strangers
        from gdbench.files import write_text
        from gdbench.runs.store import cannot_write

        if not serve:
            refuse_strangers(out)
        made = explorer_of(runs, options.registry_with(registry, plugin), latents, blind, serve, inverted)
        for letter, run in made.names:
            say(f"{letter}: {run}")
        if serve:
            _serve(made, port)
            return
        with cannot_write(out):
            write_text(out, made.text)
        say(f"{out}: {len(made.text.encode()) / 1e6:.1f} MB; open it in any browser")


def _serve(made: Made, port: int) -> None:
    """Serve a page until Ctrl-C."""
    from gdbench.explorer.serving import Server

    with Server(made, port) as server:
        try:
            say(server.address, "only this machine can open it; Ctrl-C ends it")
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            say("ended")
