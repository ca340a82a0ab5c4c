"""What a user sees: tables, JSON, one-line errors. Results go to stdout, everything else to stderr.

Names, reasons and messages come from plugins and files of strangers. They are shown as plain text: no markup of theirs
is obeyed and no control character reaches the terminal. rich is imported when something is shown, not before.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gdbench.errors import GdbenchError
from gdbench.output import outlet

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


WIDE = 220
"""Width of tables where the output is no terminal and COLUMNS says nothing: nothing is folded in a log."""
LONGEST = 2_000


_COLOURS = {
    "done": "green",
    "passed": "green",
    "failed": "red",
    "timeout": "red",
    "broken": "red",
    "incompatible": "yellow",
    "interrupted": "yellow",
    "preview": "yellow",
}


def clean(text: object) -> str:
    """One line of ``text`` without control, direction or surrogate characters, LONGEST characters at most."""
    line = " ".join(str(text)[: 2 * LONGEST].split())
    return "".join(character for character in line if character.isprintable())[:LONGEST]


def number(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def plain(value: object, style: str = "") -> Text:
    """A value as rich text that obeys no markup: lists joined, floats with four digits, None and False empty."""
    from rich.text import Text

    if value is None or value is False:
        return Text("")
    if isinstance(value, float):
        return Text(number(value), style=style)
    if isinstance(value, list | tuple):
        return Text(clean(", ".join(map(str, value))), style=style)
    shown = "yes" if value is True else clean(value)
    return Text(shown, style=style or _COLOURS.get(shown, ""))


def console(stderr: bool = False) -> Console:
    """A rich console on stdout or stderr, as they are now; characters that the encoding lacks are replaced."""
    from rich.console import Console

    stream = outlet(sys.stderr) if stderr else sys.stdout  # progress that cannot be shown never ends a run
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    made = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdecimal():
        made.width = WIDE
    return made


def say(*lines: object) -> None:
    """Print lines on stdout, however long."""
    screen = console()
    for line in lines:
        screen.print(plain(line), soft_wrap=True)


def fail(error: BaseException) -> int:
    """Print an error as one line on stderr; returns the exit code of its kind."""

    message = str(error) if isinstance(error, GdbenchError) else f"{type(error).__name__}: {error}"
    complain(message)
    return getattr(error, "exit_code", 1)


def complain(message: str) -> None:
    stream = outlet(sys.stderr)
    encoding = getattr(stream, "encoding", None) or "ascii"
    stream.write(f"gdbench: {clean(message)}\n".encode(encoding, "replace").decode(encoding))


def print_json(data: Any) -> None:
    """Print ``data`` as JSON in ASCII on stdout, and nothing else. Raises ValueError for NaN and infinity."""
    sys.stdout.write(json.dumps(data, indent=1, allow_nan=False) + "\n")


# Tables


def table(title: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A rich table; numbers stand right. Cells are values, or rich text made by ``plain``."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    made = Table(title=plain(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
    made.show_header = any(headers)
    for index, header in enumerate(headers):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        made.add_column(plain(header), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return made


def table_of(title: str, rows: Sequence[Mapping[str, object]]) -> Table:
    """A table of equal mappings: their keys are the headers."""
    return table(title, list(rows[0]) if rows else [""], [list(row.values()) for row in rows] or [["none"]])
