"""The files of a leaderboard: Markdown, CSV, JSON, parquet, LaTeX, all from one value; and whether they agree."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gdbench.boards.answer import Answer, answer, summary
from gdbench.boards.board import Board, Leaderboard, Row, Shown
from gdbench.boards.cells import (
    SIGNS,
    Symbols,
    across_grid,
    brief,
    grid,
    header,
    inert,
    label,
    latex,
    markdown,
    markdown_table,
    name,
)
from gdbench.boards.joined import joined
from gdbench.console import clean
from gdbench.files import atomic_write, write_text

FORMAT = 3
"""Raised when the files say the same in another way.

1 had one table for each metric and no key in its rows, 2 had rows in the table of a metric that never measured them.
"""
FILES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "leaderboard.tex", "leaderboard.parquet")


def to_markdown(leaderboard: Leaderboard) -> str:
    """Sentences, a short table for each board, and the rest folded."""
    parts = ["# Leaderboard", *map(markdown, summary(leaderboard)), *map(markdown, leaderboard.notes)]
    for board in joined(leaderboard.boards):
        parts += [*_board(board, answer(board))]
    for table in leaderboard.across:
        parts += [f"## {markdown(table.title)}", markdown_table(*_escaped_head(*across_grid(table)))]
        parts += [f"- {markdown(note)}" for note in table.notes]
    if meanings := list(_meanings(leaderboard)):
        parts += ["<details><summary>What the columns mean</summary>", "\n".join(meanings), "</details>"]
    return "\n\n".join(parts) + "\n"


def _board(board: Board, said: Answer) -> Iterator[str]:
    yield f"## {markdown(said.title)}"
    yield markdown(" ".join(said.sentences))
    yield markdown_table(*short_table(said, links=True))
    yield markdown(SIGNS.legend(said.baseline)) + "."
    notes = [*said.notes, *_least(board)]
    if notes:
        yield "\n".join(f"- {markdown(note)}" for note in notes)
    yield "<details><summary>All metrics, runs and failures</summary>"
    yield (
        "Mean over seeds (95 % t interval; the variance between seeds is pooled over methods that draw, and over those "
        "that do not) complete/expected seeds, and how it stands to the baseline."
    )
    tables = [(metric, columns, _measured(columns, board.rows)) for metric, columns in board.metrics().items()]
    for metric, columns, measured in sorted(tables, key=lambda table: -len(table[2])):
        yield f"### {markdown(metric)}"
        if measured:
            yield markdown_table(*_escaped_head(*grid(columns, measured)))
        if others := [label(row) for row in board.rows if row not in measured]:
            yield markdown(f"Not measured: {', '.join(others)}.")
    lines = [f"{name(row.method)}: {line}" for row in board.rows for line in row.failures]
    lines += [f"{name(row.method)}: runs {', '.join(row.runs)}" for row in board.rows]
    yield "\n".join(f"- {markdown(line)}" for line in lines)
    yield "</details>"


def _measured(columns: Sequence[Shown], rows: Sequence[Row]) -> list[Row]:
    """The rows that the metric of these columns was run on."""
    return [row for row in rows if any(row.entry(*shown.name).measured for shown in columns)]


def short_table(said: Answer, links: bool = False, symbols: Symbols = SIGNS) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of the short table. links: headers are Markdown and lead to the meaning of their column."""
    titles = [header(shown.column) for shown in said.columns]
    if links:
        anchors = map(_anchor, said.columns)
        titles = [f"[{markdown(title)}](#{anchor})" for title, anchor in zip(titles, anchors, strict=True)]
    body = []
    for row in said.rows:
        rank = symbols.none if row.rank is None else f"{row.rank}{'=' if row.tied else ''}"
        method = name(row.method) if row.role == "method" else f"{name(row.method)} ({row.role})"
        body.append([rank, method, *(brief(entry, symbols) for entry in row.entries)])
    return ["#" if not links else "\\#", "method", *titles], body


def _escaped_head(head: Sequence[str], body: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    return list(map(markdown, head)), body


def _least(board: Board) -> Iterator[str]:
    """The least differences that count, of columns that rank."""
    counts = [f"{shown.metric}.{name(shown.column.name)} {shown.least:.3g}" for shown in board.columns if shown.least]
    if counts:
        yield f"least difference that counts: {', '.join(counts)}; smaller ones are ties"


def _meanings(leaderboard: Leaderboard) -> Iterator[str]:
    columns = {shown.name: shown for board in leaderboard.boards for shown in board.columns}
    for shown in columns.values():
        column = shown.column
        unit = f" [{column.unit}]" if column.unit else ""
        better = {"higher": ", higher is better", "lower": ", lower is better", "neither": ""}[column.better]
        title = f"{shown.metric}.{name(column.name)}"
        yield f'- <a id="{_anchor(shown)}"></a>**{markdown(title)}**{markdown(f"{unit}{better}: {column.summary}")}'


def _anchor(shown: Shown) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{shown.metric}-{shown.column.name}".lower()).strip("-")[:80]


def to_csv(leaderboard: Leaderboard) -> str:
    """``to_rows`` as CSV; text that a spreadsheet would take for a formula is preceded by an apostrophe."""
    rows = leaderboard.to_rows()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["generator"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: inert(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def to_json(leaderboard: Leaderboard) -> str:
    """The whole value as JSON; every row holds the key of its board, every board its sentences."""
    data = dataclasses.asdict(leaderboard)
    del data["refused"]  # its notes say so
    for board, made in zip(leaderboard.boards, data["boards"], strict=True):
        del made["unranked"]  # its notes say so
        made["sentences"] = list(answer(board).sentences)
        made["rows"] = [{**board.key.as_row(), **row} for row in made["rows"]]
    for table in data["across"]:
        if table["critical"] is None:
            del table["critical"]
    return _outlined({"format": FORMAT, "sentences": list(summary(leaderboard)), **data})


def _outlined(value: Any, depth: int = 0) -> str:
    """JSON with a line for each innermost object, so that a changed number is a changed line."""
    inner = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list | tuple) else []
    if not any(isinstance(one, dict | list | tuple) and one for one in inner):
        return json.dumps(value, allow_nan=False)
    keys = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(inner)
    lines = [f"{' ' * (depth + 1)}{key}{_outlined(one, depth + 1)}" for key, one in zip(keys, inner, strict=True)]
    start, stop = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([start, ",\n".join(lines), " " * depth + stop])


def to_latex(leaderboard: Leaderboard) -> str:
    """The short tables for booktabs (``\\usepackage{booktabs,amssymb,textcomp}``), one table for each board."""
    parts = ["% made by gdbench leaderboard; needs \\usepackage{booktabs,amssymb,textcomp}"]
    for board in leaderboard.boards:
        said = answer(board)
        head, body = short_table(said)
        caption = f"{said.title}. {SIGNS.legend(said.baseline)}."
        parts.append(latex_table(caption, f"rl{'r' * len(said.columns)}", head, body, [row.role for row in said.rows]))
    return "\n\n".join(parts) + "\n"


def latex_table(
    caption: str, columns: str, head: Sequence[str], body: Sequence[Sequence[str]], roles: Sequence[str]
) -> str:
    """A table for booktabs. columns: how each is set. roles: that of each row; a line stands where it changes."""
    lines = ["\\begin{table}", f"\\caption{{{latex(caption)}}}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines += [_latex_row(head), "\\midrule"]
    for before, role, row in zip([None, *roles], roles, body, strict=False):
        lines += ["\\midrule"] if before is not None and before != role else []
        lines.append(_latex_row(row))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"])


def _latex_row(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(latex, cells))} \\\\"


def to_parquet(leaderboard: Leaderboard) -> bytes:
    """``to_rows`` as parquet; text without control characters."""
    frame = leaderboard.to_frame()
    for column in frame.select_dtypes(["object", "string"]):
        cleaned = {value: clean(value) for value in set(frame[column]) if isinstance(value, str)}
        frame[column] = [cleaned.get(value, value) for value in frame[column]]
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def write(leaderboard: Leaderboard, folder: Path) -> None:
    """Write all ``FILES`` into ``folder``, each atomically."""
    for file, text in _texts(leaderboard).items():
        write_text(folder / file, text)
    with atomic_write(folder / "leaderboard.parquet") as stream:
        stream.write(to_parquet(leaderboard))


def differences(leaderboard: Leaderboard, folder: Path) -> list[str]:
    """A line for each file in ``folder`` that is missing, or is not what ``write`` would make."""
    found = []
    for file, text in _texts(leaderboard).items():
        path = folder / file
        if not path.is_file():
            found.append(f"{path}: missing")
        elif (line := _first_difference(path.read_text(encoding="utf-8", errors="replace"), text)) is not None:
            found.append(f"{path}: line {line} is not what the records give")
    if not _same_parquet(folder / "leaderboard.parquet", leaderboard):
        found.append(f"{folder / 'leaderboard.parquet'}: missing, or not what the records give")
    return found


def _texts(leaderboard: Leaderboard) -> dict[str, str]:
    return {
        "leaderboard.md": to_markdown(leaderboard),
        "leaderboard.csv": to_csv(leaderboard),
        "leaderboard.json": to_json(leaderboard) + "\n",
        "leaderboard.tex": to_latex(leaderboard),
    }


def _first_difference(old: str, new: str) -> int | None:
    if old == new:
        return None
    pairs = zip(old.split("\n"), new.split("\n"), strict=False)
    return next((number for number, (a, b) in enumerate(pairs, 1) if a != b), min(old.count("\n"), new.count("\n")) + 1)


def _same_parquet(path: Path, leaderboard: Leaderboard) -> bool:
    """By content: another version of the library writes other bytes."""
    import pandas as pd

    try:
        old: Any = pd.read_parquet(path)
    except (OSError, ValueError):
        return False
    return bool(old.equals(pd.read_parquet(io.BytesIO(to_parquet(leaderboard)))))
