"""From a folder with runs to the files of its report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gdbench.boards.acceptance import read_tests
from gdbench.boards.leaderboard import leaderboard_of
from gdbench.columns import columns_of
from gdbench.files import read_bytes, write_text
from gdbench.report.charts import Picture
from gdbench.report.evidence import evidence
from gdbench.report.pages import charts_of, pages, run_text
from gdbench.report.places import run_page
from gdbench.runs.inverted import fitting, read_kept
from gdbench.runs.pool import suite_runs
from gdbench.runs.store import RunFolder, find_runs, read_records

if TYPE_CHECKING:
    from gdbench.registry import Registry
    from gdbench.runs.suite import Suite

OURS = b'<meta name="generator" content="gdbench report">'
"""What the head of a page says, so that a page of an earlier report is told from other people's files."""
HEAD = 1 << 26


class Made(NamedTuple):
    """Pages (file and text, made as one asks for them), a line for each run that cannot be believed, charts by name."""

    pages: Iterator[tuple[str, str]]
    problems: list[str]
    charts: dict[str, Picture]


def report_of(folder: Path, registry: Registry, suite: Suite | None = None, changed: bool = False) -> Made:
    """The report of the runs below ``folder``; with a suite, of those that it asks for."""
    columns = columns_of(registry)
    found, problems = [], []
    missing: list[str] = []
    for one in find_runs(folder):
        records, lines = read_records([one])
        found += [(record, one.path) for record in records]
        problems += lines
    if suite is None:
        board = leaderboard_of([record for record, _ in found], columns, registry, None, changed)
    else:
        runs = suite_runs(suite, registry, folder)
        asked = set(runs.ids)
        found = [(record, path) for record, path in found if record.id in asked]
        problems = list(runs.problems)
        made = leaderboard_of(runs.records, columns, registry, suite, changed)
        missing = [one.name for one in runs.missing]
        there = f"suite {suite.name}: {len(runs.records)} of {len(runs.records) + len(missing)} runs are there"
        board = replace(made, notes=(there, *made.notes))
    papers = {name: offer.spec.citation for name, offer in registry.methods.items()}
    factors = {name: offer.spec.factors for name, offer in registry.domains.items()}
    tests = read_tests(suite.acceptance) if suite and suite.acceptance else None
    shown = [evidence(record, path) for record, path in found]
    return Made(pages(board, shown, problems, papers, missing, tests, factors), problems, charts_of(board, shown))


def page_of_run(folder: Path, inverted: Path | None = None) -> Made:
    """The page of one run, which leads nowhere. inverted: what ``gdbench invert`` made with this run, shown there too.

    Raises IntegrityError for a run that cannot be believed, MissingFile and UsageError for another folder of pictures.
    """
    record = RunFolder(folder).read(verify=True)
    kept = None if inverted is None else fitting(read_kept(inverted), record)
    return Made(iter([(run_page(record.id), run_text(evidence(record, folder), None, kept))]), [], {})


def write(made: Iterable[tuple[str, str]], folder: Path, sweep: bool = True) -> list[Path]:
    """Write pages into ``folder``, each atomically, one after another; their paths are returned.

    sweep: pages of an earlier report that are no longer made go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, text in made:
        write_text(folder / file, text)
        written.append(folder / file)
    kept = set(written)
    for path in folder.glob("*.html") if sweep else ():
        if path not in kept and OURS in read_bytes(path, HEAD)[:1000]:
            path.unlink()
    return written
