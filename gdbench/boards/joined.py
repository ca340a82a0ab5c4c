"""Boards as people read them: references with a K of their own stand as lines below the methods that they bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gdbench.boards.board import UNMEASURED, Board, Entry, Row, Shown


def joined(boards: Sequence[Board]) -> list[Board]:
    """The boards with methods, each with the references of boards that differ from it in K alone; and what is left.

    A supervised reference has as many directions as there are factors, which is another K than that of the methods, so
    that it has a board of its own, on which it stands alone. Beside methods it is neither ranked nor marked.
    """
    with_methods = [board for board in boards if _has_methods(board)]
    alone = [board for board in boards if not _has_methods(board)]
    taken = {id(guest) for host in with_methods for guest in alone if _beside(host, guest)}
    return [
        _with(board, [one for one in alone if _beside(board, one)] if _has_methods(board) else [])
        for board in boards
        if id(board) not in taken
    ]


def _has_methods(board: Board) -> bool:
    return any(row.role == "method" for row in board.rows)


def _beside(host: Board, guest: Board) -> bool:
    return replace(guest.key, k=host.key.k) == host.key and guest.key.k != host.key.k


def _with(board: Board, guests: Iterable[Board]) -> Board:
    rows = [_guest(row, guest, board.columns) for guest in guests for row in guest.rows if row.role == "reference"]
    notes = [note for guest in guests for note in guest.notes]
    return replace(board, rows=(*board.rows, *rows), notes=tuple(dict.fromkeys([*board.notes, *notes])))


def _guest(row: Row, guest: Board, columns: Sequence[Shown]) -> Row:
    found = {(entry.metric, entry.column): entry for entry in row.entries}
    expected = max((entry.expected for entry in row.entries), default=0)
    entries = [
        replace(found[shown.name], rank=None, mark="", p=None)
        if shown.name in found
        else Entry(*shown.name, None, None, None, 0, expected, note=UNMEASURED)
        for shown in columns
    ]
    return replace(row, method=f"{row.method}, K = {guest.key.k}", entries=tuple(entries))
