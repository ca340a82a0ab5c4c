"""The matrix as a page for people and as JSON for the leaderboard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gdbench import markdown as escaped
from gdbench import write_text
from gdbench_acceptance import lenses
from gdbench_acceptance.judge import COLUMNS, TESTS, Cell
from gdbench_acceptance.runs import Runs

MARKS = {"fails": "**FAILS**", "does not apply": ""}  # other verdicts as they are
REMARKS = {True: "", False: " (fails)", None: " (cannot tell)"}
INTRODUCTION = """# Acceptance of the metrics

Made by `gdbench acceptance` from the records beside this file; do not edit.

A metric is believed only where known answers come out (PROTOCOL, "Which columns may rank"). A row is a column of a
metric; in an empty cell the test does not hold.
**A column that fails a test is shown in leaderboards and never ranked.**
Differences count from two standard deviations of test and retest on: the same directions, measured with other seeds.
The three lenses ask of a column that ranks how much it moves between evaluation seeds, whether it falls where
directions are spoiled step by step, and whether methods differ by more than seeds do.
"""


def refusal(cells: Sequence[Cell], column: str) -> str:
    """Why a column must not rank methods; "" where it may: it passes every test that holds for it."""
    bad = [cell for cell in cells if cell.column == column and cell.verdict not in ("passes", "does not apply")]
    return "; ".join(f"{cell.test}: {cell.verdict}" for cell in bad)


def markdown(runs: Runs, cells: Sequence[Cell]) -> str:
    """The page: matrix, versions, and the numbers behind every verdict."""
    found = {(cell.column, cell.test): cell for cell in cells}
    names = [test.name for test in TESTS]
    rows = [["column", *names, "believed"], ["---"] * (len(names) + 2)]
    for column in COLUMNS:
        told = [found[column, name].verdict for name in names]
        marks = [MARKS.get(verdict, verdict) for verdict in told]
        rows.append([f"`{column}`", *marks, "no" if refusal(cells, column) else "yes"])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(runs.versions.items()))
    parts = [INTRODUCTION, table, f"Versions of the metrics: {versions}.", "## Numbers"]
    parts += [_numbers(cells, column) for column in COLUMNS]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def verdicts(runs: Runs, cells: Sequence[Cell]) -> dict[str, Any]:
    """What the leaderboard reads: versions of the metrics, column -> why it must not rank ("" where it may), the
    least difference that counts, cells."""
    refused = {column: refusal(cells, column) for column in COLUMNS}
    least = {column: lenses.least_difference(runs, column) for column in COLUMNS}
    plain = [{**asdict(cell), "evidence": [asdict(part) for part in cell.evidence]} for cell in cells]
    counts = {column: float(f"{value:.3g}") for column, value in least.items() if value is not None}
    return {"versions": dict(runs.versions), "refused": refused, "least": counts, "cells": plain}


def _numbers(cells: Sequence[Cell], column: str) -> str:
    lines = [f"### `{column}`", ""]
    for cell in (cell for cell in cells if cell.column == column and cell.evidence):
        lines += [f"- {cell.test}: {cell.verdict}"]
        told = (f"{part.generator}: {part.numbers}{REMARKS[part.passed]}" for part in cell.evidence)
        lines += [f"  - {escaped(text)}" for text in told]
    return "\n".join(lines)


def write(folder: Path, runs: Runs, cells: Sequence[Cell]) -> None:
    """Write ``acceptance.md`` and ``acceptance.json`` into ``folder``."""
    write_text(folder / "acceptance.md", markdown(runs, cells))
    write_text(folder / "acceptance.json", json.dumps(verdicts(runs, cells), indent=1) + "\n")
