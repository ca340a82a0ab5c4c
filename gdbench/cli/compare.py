"""``gdbench compare``: two runs, or two methods of a folder, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gdbench.cli import options
from gdbench.columns import columns_of
from gdbench.console import print_json
from gdbench.errors import UsageError, unknown
from gdbench.registry import Registry

if TYPE_CHECKING:
    from gdbench.boards.compare import Compared, Comparison, Kept, Side


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``compare``."""

    @app.command()
    def compare(
        a: str = typer.Argument(..., metavar="A", help="A run folder, or the name of a method in --folder."),
        b: str = typer.Argument(..., metavar="B", help="The same."),
        folder: Path = typer.Option(options.RUNS, help="A folder with the runs of methods that are named."),
        everything: bool = typer.Option(False, "--all", help="All metrics, not only the columns of short tables."),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Compare two runs or two methods.

        Differences with 95 % intervals, paired on the codes that both saw; for each factor the best direction of both.
        """

        from gdbench.boards.compare import compare as compared

        columns = columns_of(options.registry_with(registry, plugin))
        found = [compared(x, y, columns) for x, y in _sides(a, b, folder)]
        if as_json:
            return print_json([asdict(one) for one in found])
        brief = {(metric, one.name) for metric, own in columns.items() for one in own if one.brief or one.headline}
        for one in found:
            _show(one, None if everything else brief)
        return None


def _sides(a: str, b: str, folder: Path) -> Iterator[tuple[Side, Side]]:
    """What to compare: the two as they are, or method by method on each board that has both."""
    from gdbench.boards.selection import key_of

    groups = []
    for text in (a, b):
        runs = _runs(text, folder)
        named = len(runs) > 1 or not _is_run(Path(text))
        boards: dict[object, list[Kept]] = {}
        for run in runs:
            boards.setdefault(repr(key_of(run.record)) if named else None, []).append(run)
        groups.append(boards)
    first, second = groups
    if None in first or None in second:
        (x,), (y,) = _only(first, a), _only(second, b)
        return iter([(_side(a, x), _side(b, y))])
    both = [name for name in first if name in second]
    if not both:
        raise UsageError(f"{folder}: no board has both {a} and {b}")
    return ((_side(a, first[name]), _side(b, second[name])) for name in both)


def _only(boards: dict[object, list[Kept]], text: str) -> list[list[Kept]]:
    if len(boards) > 1:
        raise UsageError(f"{text}: has runs on {len(boards)} boards; name one run folder in its place")
    return list(boards.values())


def _side(text: str, runs: list[Kept]) -> Side:
    from gdbench.boards.compare import Side

    by_seed = {run.record.cell.seed: run for run in runs}
    if len(by_seed) < len(runs):
        raise UsageError(f"{text}: has several runs of one seed, of other parameters; name run folders in its place")
    cell = runs[0].record.cell
    return Side(f"{cell.method}, seed {cell.seed}" if _is_run(Path(text)) else cell.method, by_seed)


def _runs(text: str, folder: Path) -> list[Kept]:
    """The run in the folder ``text``, or all runs of the method of that name. Raises UsageError and IntegrityError."""
    from gdbench.boards.compare import Kept
    from gdbench.runs.store import RunFolder, find_runs, read_records

    if _is_run(Path(text)):
        return [Kept(RunFolder(Path(text)).read(verify=True), _best(Path(text)))]
    folders = find_runs(folder)
    if not folders:
        raise UsageError(f"{text}: no run folder, and {folder} holds no run of a method of that name; see --folder")
    records = {one.path: read_records([one])[0] for one in folders}
    kept = [(path, record) for path, found in records.items() for record in found]
    chosen = [Kept(record, _best(path)) for path, record in kept if record.cell.method == text]
    if not chosen:
        raise unknown("method or run folder", text, {record.cell.method for _, record in kept})
    return chosen


def _is_run(path: Path) -> bool:
    return (path / "record.json").is_file()


def _best(folder: Path) -> dict[tuple[str, str], float]:
    from gdbench.runs.tables import BEST, read_tables

    return {
        (metric, str(column).removeprefix(BEST)): float(table[column].max())
        for metric, table in read_tables(folder).items()
        for column in table
        if str(column).startswith(BEST) and table[column].notna().any()
    }


def _show(found: Comparison, brief: set[tuple[str, str]] | None) -> None:
    from gdbench.cli.boards import print_table, say_wrapped

    columns = [one for one in found.columns if brief is None or (one.metric, one.name) in brief] or found.columns
    head = ["", "a", "b", "a - b", "95 % interval", "better"]
    say_wrapped("", found.title, f"a: {found.a}; b: {found.b}")
    print_table(head, [_line(one, f"{one.metric}.{one.name}") for one in columns])
    if found.factors:
        say_wrapped("the best direction of each for a factor:")
        print_table(head, [_line(one, one.name) for one in found.factors])
    say_wrapped(*found.notes)


def _line(one: Compared, name: str) -> list[str]:
    from gdbench.boards.cells import short

    if one.a is None or one.b is None or one.difference is None:
        return [name, "void", "void", "void", one.void, "void"]
    numbers = [name, short(one.a), short(one.b), short(one.difference)]
    if one.low is None or one.high is None:
        return [*numbers, "unknown", "unknown"]
    otherwise = "not separable" if one.low <= 0 <= one.high else "neither"  # of columns where nothing is better
    return [*numbers, f"{short(one.low)} to {short(one.high)}", one.better or otherwise]
