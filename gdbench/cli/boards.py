"""What ``leaderboard`` and ``bench`` show of boards: a short table for each that fits the screen, or all metrics."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from gdbench.boards.answer import Answer, answer, summary
from gdbench.boards.cells import PLAIN, SIGNS, Symbols, across_grid, grid, name
from gdbench.boards.exports import short_table, to_json, write
from gdbench.boards.joined import joined
from gdbench.boards.leaderboard import leaderboard_of
from gdbench.columns import columns_of
from gdbench.console import complain, console, plain, print_json, say
from gdbench.runs.pool import board_folder, suite_runs
from gdbench.runs.store import find_runs, read_records

if TYPE_CHECKING:
    from gdbench.boards.board import Board, Leaderboard
    from gdbench.registry import Registry
    from gdbench.runs.suite import Suite

GAP = "  "
NARROW = 12
"""The least width that the names of methods keep."""


def read_leaderboard(
    folder: Path, registry: Registry, suite: Suite | None, changed: bool = False
) -> tuple[Leaderboard, list[str]]:
    """The leaderboard of the records in ``folder``, and a line for each run that cannot be believed.

    With a suite it is made of the runs that the suite asks for, says how many are there, and names the others.
    """

    if suite is None:
        records, problems = read_records(find_runs(folder))
        return leaderboard_of(records, columns_of(registry), registry, None, changed), problems
    runs = suite_runs(suite, registry, folder)
    made = leaderboard_of(runs.records, columns_of(registry), registry, suite, changed)
    return replace(made, notes=(runs.note, *made.notes)), list(runs.problems)


def write_leaderboard(
    folder: Path, registry: Registry, suite: Suite, as_json: bool = False, changed: bool = False
) -> int:
    """Compute the leaderboard of a suite's runs in ``folder``, write its files where the suite's lie, and show it.

    Returns how many runs were left off it, as ``left_off`` counts them.
    """

    made, problems = read_leaderboard(folder, registry, suite, changed)
    home = board_folder(folder, suite)
    home.mkdir(parents=True, exist_ok=True)
    write(made, home)
    show_leaderboard(made, problems, as_json)
    return left_off(made, problems, folder)


def left_off(leaderboard: Leaderboard, problems: Sequence[str], folder: Path) -> int:
    """How many runs of ``folder`` were left off a leaderboard; says so on stderr.

    They cannot be believed, or nobody can make them again: both exit with 5.
    """
    if problems:
        complain(f"{len(problems)} of the runs in {folder} cannot be believed, so they are not counted")
    if leaderboard.refused:
        complain(
            f"{leaderboard.refused} of the runs in {folder} are of changed code, so they are not counted; --changed "
            "counts them"
        )
    return len(problems) + leaderboard.refused


def show_leaderboard(
    leaderboard: Leaderboard, problems: Sequence[str] = (), as_json: bool = False, everything: bool = False
) -> None:
    """Show sentences and a short table for each board, or with ``everything`` all metrics; problems on stderr."""
    for problem in problems:
        complain(f"not counted: {problem}")
    if as_json:
        return print_json(json.loads(to_json(leaderboard)))
    say_wrapped(*summary(leaderboard), *leaderboard.notes)
    if not leaderboard.boards:
        say_wrapped("no finished runs here")
    for board in joined(leaderboard.boards):
        _show_board(board, answer(board), everything)
    for table in leaderboard.across if everything else ():
        say_wrapped("", table.title)
        print_table(*across_grid(table))
        say_wrapped(*table.notes)
    if leaderboard.boards and not everything:
        say_wrapped("", "all metrics, intervals and ranks across generators: --all")
    return None


def _show_board(board: Board, said: Answer, everything: bool) -> None:
    symbols = _symbols()
    say_wrapped("", said.title)
    say_wrapped(*said.sentences)
    print_table(*short_table(said, symbols=symbols), keep=2)
    say_wrapped(f"{symbols.legend(said.baseline)}.")
    say_wrapped(*said.notes)
    for metric, columns in board.metrics().items() if everything else ():
        say_wrapped("", metric)
        print_table(*grid(columns, board.rows))
    say_wrapped(*(f"{name(row.method)}: {line}" for row in board.rows for line in row.failures))


def _symbols() -> Symbols:
    """Those that the encoding of stdout has."""
    try:
        "".join((SIGNS.above, SIGNS.same, SIGNS.below, SIGNS.incomplete, SIGNS.void)).encode(
            sys.stdout.encoding or "ascii"
        )
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return SIGNS


def say_wrapped(*lines: str) -> None:
    """Lines that wrap between words."""
    screen = console()
    for line in lines:
        screen.print(plain(line))


def print_table(head: Sequence[str], body: Sequence[Sequence[str]], keep: int = 1) -> None:
    """A table as wide as the screen at most. keep: columns that come first, and again beside those without room."""
    width = console().width
    say("")
    for part in _parts(head, body, width, keep):
        for line in part:
            sys.stdout.write(line.rstrip() + "\n")
        sys.stdout.write("\n")


def _parts(head: Sequence[str], body: Sequence[Sequence[str]], width: int, keep: int) -> Iterator[list[str]]:
    lines = [[plain(cell).plain for cell in line] for line in (head, *body)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    room = width - len(GAP) - max(widths[keep:], default=0)
    widths[keep - 1] = max(NARROW, min(widths[keep - 1], room - sum(widths[: keep - 1]) - len(GAP) * (keep - 1)))
    fixed = sum(widths[:keep]) + len(GAP) * (keep - 1)
    widths[keep:] = [min(one, max(NARROW, width - fixed - len(GAP))) for one in widths[keep:]]
    for columns in _chunks(widths, width - fixed, keep):
        shown = [*range(keep), *columns]
        cells = [[_cut(line[i], widths[i]) for i in shown] for line in lines]
        text = [GAP.join(set_cell_size(cell, widths[i]) for cell, i in zip(line, shown, strict=True)) for line in cells]
        yield [text[0], "-" * min(width, sum(widths[i] for i in shown) + len(GAP) * (len(shown) - 1)), *text[1:]]


def _chunks(widths: Sequence[int], room: int, keep: int) -> list[list[int]]:
    """The columns after the first ``keep``, in as many groups as they need where ``room`` is left for each."""
    groups: list[list[int]] = [[]]
    for index in range(keep, len(widths)):
        used = sum(widths[i] + len(GAP) for i in groups[-1])
        if groups[-1] and used + widths[index] + len(GAP) > room:
            groups.append([])
        groups[-1].append(index)
    return groups


def _cut(text: str, width: int) -> str:
    """The text, or as much of it as there is room for and the sign that there was more."""

    return text if cell_len(text) <= width else set_cell_size(text, width - 3) + "..."
