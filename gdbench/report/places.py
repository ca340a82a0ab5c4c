"""Names of pages and of places in them: safe in every file system and address, whatever a record says."""

from __future__ import annotations

import hashlib
import re

from gdbench.boards.board import Key

INDEX = "index.html"
LONGEST = 80


def slug(text: str) -> str:
    """Lower-case letters, digits, ``.``, ``_`` and ``-``; a text that had others is told apart by a hash."""
    safe = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:LONGEST]
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def run_page(run: str) -> str:
    """The file of a run's page."""
    return f"run-{slug(run)}.html"


def score_place(metric: str, column: str) -> str:
    """The place of a score in the page of a run."""
    return f"score-{slug(f'{metric}.{column}')}"


def generator_page(key: Key) -> str:
    """The file of the page of a generator: all boards of one checkpoint."""
    return f"generator-{slug('-'.join(filter(None, (key.generator, key.checkpoint, key.weights))))}.html"


def chart_name(key: Key, kind: str) -> str:
    """The name of the files of a chart, without their endings."""
    return slug(f"{key.generator}-{key.checkpoint}-{key.space}-{key.tier}-k{key.k}-{kind}-{anchor(key)[-6:]}")


def anchor(key: Key) -> str:
    """The place of a board in a page."""
    found = hashlib.sha256(repr(sorted(key.as_row().items())).encode(errors="replace")).hexdigest()
    return f"board-{found[:10]}"
