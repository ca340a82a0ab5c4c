"""``gdbench verify``: every hash in folders of runs, and every leaderboard computed again from its records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gdbench.cli import options
from gdbench.console import complain, print_json, say
from gdbench.errors import GdbenchError, IntegrityError, UsageError
from gdbench.registry import Registry

if TYPE_CHECKING:
    from gdbench.runs.suite import Suite
    from gdbench.runs.verifying import Fault

BOARD = "leaderboard.*"
SUITES = Path("benchmarks")


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``verify``."""

    @app.command()
    def verify(
        folders: list[Path] = typer.Argument(
            ..., help="Run folders, or folders that hold some.", autocompletion=options.run_folders
        ),
        suites: Path = typer.Option(SUITES, help="The folder of the suites that leaderboards are of."),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Compare every hash of runs with what is there, and compute every leaderboard below these folders again.

        One line for each fault; exits with 5 where there is one.
        """
        from gdbench.runs.verifying import run_folders
        from gdbench.runs.verifying import verify as verified

        offers = options.registry_with(registry, plugin)
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"{folder}: no such folder")
        runs = [verified(run) for folder in folders for run in run_folders(folder)]
        boards = sorted({path.parent for folder in folders for path in folder.rglob(BOARD)})
        if not runs and not boards:
            raise UsageError(f"{', '.join(map(str, folders))}: holds no run and no leaderboard")
        known = _suites(suites) if boards else {}
        faults = [fault for run in runs for fault in run.faults]
        faults += [fault for board in boards for fault in _of_board(board, known, offers)]
        counts = {
            "runs": len(runs),
            "files": sum(run.files for run in runs),
            "boards": len(boards),
            "pictures_not_here": sum(run.absent for run in runs),
        }
        for fault in faults:
            complain(str(fault))
        if as_json:
            print_json({**counts, "faults": [_as_row(fault) for fault in faults]})
        else:
            say(_summary(counts, len(faults)))
        raise typer.Exit(IntegrityError.exit_code if faults else 0)


def _summary(counts: dict[str, int], faults: int) -> str:
    said = f"verified {counts['runs']:,} runs, {counts['files']:,} files, {counts['boards']} leaderboards"
    absent = f" ({counts['pictures_not_here']} pictures are not here)" if counts["pictures_not_here"] else ""
    return f"{said}{absent}: {f'{faults} faults' if faults else 'all as recorded'}"


def _as_row(fault: Fault) -> dict[str, str]:
    return {"file": str(fault.file), "what": fault.what, "right": fault.right}


def _suites(folder: Path) -> dict[str, tuple[Path, Suite]]:
    """The suites in a folder, by name; files that are none are passed over."""
    from gdbench.runs.suite import read_suite

    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            suite = read_suite(path)
        except GdbenchError:
            continue
        found[suite.name] = path, suite
    return found


def _of_board(home: Path, suites: dict[str, tuple[Path, Suite]], registry: Registry) -> Iterator[Fault]:
    """The files of the leaderboard in ``home`` that its records do not give."""
    from gdbench.boards.exports import differences
    from gdbench.cli.boards import read_leaderboard
    from gdbench.runs.store import find_runs
    from gdbench.runs.verifying import Fault

    path, suite = suites.get(home.absolute().name, (None, None))
    pool = _pool(home, suite)
    remedy = f"write it again: gdbench leaderboard {pool}{f' --suite {path}' if path else ''} --write"
    if not find_runs(pool):
        yield Fault(home, "nothing says which runs its leaderboard is of", "a suite of this name among --suites")
        return
    try:
        made, _ = read_leaderboard(pool, registry, suite)
        wrong = differences(made, home)
    except (GdbenchError, OSError) as error:
        yield Fault(home, f"its leaderboard cannot be computed again: {error}", remedy)
        return
    for line in wrong:
        file, _, what = line.partition(": ")
        yield Fault(Path(file), what, remedy)


def _pool(home: Path, suite: Suite | None) -> Path:
    """Where the runs of a leaderboard lie: beside it, above it, or with it."""
    if suite is None:
        return home
    beside = home.parent / suite.runs
    return beside if beside.is_dir() else home.parent
