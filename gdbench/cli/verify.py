"""``gdbench verify``: every hash in folders of runs, and every leaderboard computed again from its records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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

        Weights that the runs name are read too, where they are here; others of their name are no fault, and counted.
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
        weights = _of_weights({run.weights for run in runs if run.weights}, offers)
        faults += weights.faults
        faults += [fault for board in boards for fault in _of_board(board, known, offers)]
        counts = {
            "runs": len(runs),
            "files": sum(run.files for run in runs),
            "boards": len(boards),
            "weights": weights.read,
            "weights_not_here": weights.absent,
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
    said += f", {counts['weights']} weights"
    absent = [f"{counts[f'{what}_not_here']} {what}" for what in ("pictures", "weights") if counts[f"{what}_not_here"]]
    missing = f" ({' and '.join(absent)} are not here)" if absent else ""
    return f"{said}{missing}: {f'{faults} faults' if faults else 'all as recorded'}"


class _Weights(NamedTuple):
    """How many weights that runs name were read, how many are not here (or others of their name), and what is wrong."""

    read: int
    absent: int
    faults: list[Fault]


def _of_weights(named: set[tuple[str, str, str]], registry: Registry) -> _Weights:
    """Read the weights of these families, names and hashes; one that is not what its own card says is a fault."""
    from gdbench.runs.verifying import Fault
    from gdbench.weights.checkpoints import NO_WEIGHTS, default_folder, find

    read, absent, faults = 0, 0, list[Fault]()
    for (family, name), hashes in sorted(_by_name(named).items()):
        if name == NO_WEIGHTS:
            continue
        try:
            found = find(registry.generator(family).spec, name, default_folder(), offline=True)
        except IntegrityError as error:
            faults.append(Fault(Path(name), str(error), "get these weights again"))
        except GdbenchError:
            absent += len(hashes)
        else:
            read += found.sha256 in hashes
            absent += len(hashes - {found.sha256})
    return _Weights(read, absent, faults)


def _by_name(named: set[tuple[str, str, str]]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for family, name, digest in named:
        found.setdefault((family, name), set()).add(digest)
    return found


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
