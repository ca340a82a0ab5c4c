"""The command line: one module per noun; each adds its commands to the app and holds no logic of its own."""

from __future__ import annotations

import sys
from typing import Any

import typer

from gdbench.cli import (
    bench,
    catalogue,
    checkpoint,
    compare,
    doctor,
    exchange,
    explore,
    export,
    invert,
    leaderboard,
    measure,
    report,
    reproduce,
    run,
    show,
    verify,
)
from gdbench.console import complain, fail
from gdbench.errors import EXIT_CODES, GdbenchError
from gdbench.output import guarded, lost
from gdbench.registry import Registry, load_registry

COMMANDS = (
    run,
    measure,
    bench,
    catalogue,
    show,
    leaderboard,
    report,
    explore,
    export,
    invert,
    compare,
    checkpoint,
    doctor,
    verify,
    reproduce,
    exchange,
)


def build_app(registry: Registry) -> typer.Typer:
    """The whole command line, with the sub-commands of plugins."""
    codes = " · ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    app = typer.Typer(
        name="gdbench",
        help="A fair benchmark for methods that find interpretable directions in GAN latent spaces.",
        epilog=f"Exit codes: {codes}.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # boxes around help cost 0.1 s of imports
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in COMMANDS:
        module.add(app, registry)
    registry.commands(app)
    return app


def main() -> None:
    """Run the command line; what went wrong becomes one line on standard error and its exit code."""
    with guarded():
        code = _exit_code()
        if reason := lost():
            complain(reason)
            code = code or 1
    sys.exit(code)


def _exit_code() -> Any:
    try:
        build_app(load_registry())()
    except SystemExit as finished:
        return finished.code
    except (GdbenchError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        complain("interrupted; the same command resumes")
        return 130
    return 0
