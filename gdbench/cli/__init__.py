"""The command line: one module per noun; each adds its commands to the app and holds no logic of its own."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer

from gdbench.console import complain, fail
from gdbench.errors import EXIT_CODES, GdbenchError
from gdbench.output import guarded, lost
from gdbench.registry import Registry, load_registry

COMMANDS = {
    "run": ("run",),
    "measure": ("measure",),
    "bench": ("bench", "work"),
    "catalogue": ("list", "info", "check-plugin"),
    "show": ("show",),
    "leaderboard": ("leaderboard",),
    "report": ("report",),
    "explore": ("explore",),
    "export": ("export",),
    "invert": ("invert",),
    "compare": ("compare",),
    "checkpoint": ("checkpoint",),
    "doctor": ("doctor",),
    "verify": ("verify",),
    "reproduce": ("reproduce",),
    "exchange": ("pack", "unpack", "merge", "submit"),
}
"""Module of this folder -> the commands that it adds, in the order of ``--help``."""


def build_app(registry: Registry, command: str = "") -> typer.Typer:
    """The whole command line, with the sub-commands of plugins; for a built-in ``command`` its own module alone.

    To import and to prepare all of them takes as long as all else that a list does.
    """
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
    own = [module for module, commands in COMMANDS.items() if command in commands]
    for module in own or COMMANDS:
        importlib.import_module(f"gdbench.cli.{module}").add(app, registry)
    if own:
        app.callback()(lambda: None)  # so that a command that stands alone keeps its name
    else:
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
        build_app(load_registry(), sys.argv[1] if len(sys.argv) > 1 else "")()
    except SystemExit as finished:
        return finished.code
    except (GdbenchError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        complain("interrupted; the same command resumes")
        return 130
    return 0
