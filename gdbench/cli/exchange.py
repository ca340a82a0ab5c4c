"""``gdbench pack``, ``unpack``, ``merge`` and ``submit``: runs on their way between machines and people."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import typer

from gdbench.cli import options
from gdbench.cli.reproduce import made_again
from gdbench.console import complain, say
from gdbench.errors import IntegrityError, UsageError
from gdbench.registry import Registry

TAR = typer.Option(..., "--to", help="The tar that is written.")


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``pack``, ``unpack``, ``merge`` and ``submit``."""
    _add_pack(app)
    _add_unpack(app, registry)
    _add_merge(app, registry)
    _add_submit(app, registry)


def _add_pack(app: typer.Typer) -> None:
    @app.command()
    def pack(
        runs: list[Path] = typer.Argument(
            ..., help="Run folders, or folders that hold some.", autocompletion=options.run_folders
        ),
        to: Path = TAR,
    ) -> None:
        """Pack runs into one tar with a manifest of hashes. A run with a fault is refused."""
        from gdbench.runs.packing import files_of
        from gdbench.runs.packing import pack as packed
        from gdbench.runs.verifying import run_folders

        folders = {folder.path.absolute().name: folder for root in runs for folder in run_folders(root)}
        if not folders:
            raise UsageError(f"no run folder in {', '.join(map(str, runs))}")
        files: dict[str, Path | bytes] = {}
        for folder in folders.values():
            files |= files_of(folder)
        say(f"packed {len(folders):,} runs, {packed(files, to):,} files: {to}")


def _add_unpack(app: typer.Typer, registry: Registry) -> None:
    @app.command()
    def unpack(
        tar: Path = typer.Argument(..., help="A tar of gdbench pack or gdbench submit."),
        out: Path = typer.Option(options.RUNS, help="The pool that its runs are merged into."),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Check a tar, hash by hash, and merge its runs into a pool; nothing is left of a tar that is not as it says.

        What goes with the runs (plugin, suite, proof) comes into a folder named after the tar; none of it is run.
        """
        from gdbench.runs.merging import merge
        from gdbench.runs.packing import MORE, RUNS, contents, opened

        beside = out / tar.stem
        with opened(tar, out) as place:
            if more := contents(place / MORE):
                if beside.exists():
                    raise UsageError(f"{beside}: is there already; what goes with the runs would come here")
                (place / MORE).rename(beside)
            attention = _told(list(merge([place / RUNS], out, options.registry_with(registry, plugin))))
        if more:
            say(f"{beside}: {', '.join(sorted(more))}")
        raise typer.Exit(int(attention))


def _add_merge(app: typer.Typer, registry: Registry) -> None:
    @app.command()
    def merge(
        folders: list[Path] = typer.Argument(
            ..., metavar="SOURCE... TARGET", help="Pools, or folders that hold some; the last is the one that grows."
        ),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Bring every run of the sources into the target; none is lost, none is there twice.

        Of two runs with one id and other bytes the complete and current one stays, and it is said why; what was
        replaced lies in a tar in TARGET/replaced. Exits with 1 where somebody should look.
        """
        from gdbench.runs.merging import merge as merged

        *sources, target = folders
        if not sources:
            raise UsageError(f"{target}: name at least one source and the target: gdbench merge SOURCE... TARGET")
        for source in sources:
            if not source.is_dir():
                raise UsageError(f"{source}: no such folder")
            if target.absolute().resolve() in (source.resolve(), *source.resolve().parents):
                raise UsageError(f"{source}: lies in the target {target}")
        raise typer.Exit(int(_told(list(merged(sources, target, options.registry_with(registry, plugin))))))


def _told(results: list) -> bool:  # type: ignore[type-arg]
    """Say what became of each run that was not simply new or the same, and count; whether somebody should look."""

    for one in results:
        if one.why:
            complain(str(one))
    counts = Counter(one.what for one in results)
    say(", ".join(f"{number:,} {what}" for what, number in counts.items()) or "no runs there")
    return any(one.attention for one in results)


def _add_submit(app: typer.Typer, registry: Registry) -> None:
    @app.command()
    def submit(
        runs: list[Path] = typer.Argument(..., help="Run folders.", autocompletion=options.run_folders),
        to: Path = TAR,
        start: Literal["directions", "scratch"] = typer.Option(
            "directions", "--from", help="How each run is made again: see gdbench reproduce."
        ),
        plugin: list[Path] = options.PLUGIN,
        more: list[Path] = typer.Option(
            None, "--with", help="A file that goes with the runs: suite, licence, table of settings."
        ),
        device: str = typer.Option("auto", help="auto (as recorded), cpu, cuda or cuda:N."),
    ) -> None:
        """Bundle runs with their proof: hashes, versions, and the verdict of making each again.

        Nothing is written where a run has a fault or cannot be made again.
        """
        from gdbench.runs.packing import files_of
        from gdbench.runs.store import RunFolder
        from gdbench.runs.submitting import submit as bundled

        offers = options.registry_with(registry, plugin)
        files = _named([*(plugin or []), *(more or [])])
        for run in runs:
            files_of(RunFolder(run))  # a fault is told before anything is computed
        verdicts = [made_again(run, offers, start, device) for run in runs]
        for verdict in verdicts:
            for difference in verdict.differences:
                complain(f"{verdict.run}: {difference}")
            say(verdict)
        if any(verdict.held is not True for verdict in verdicts):
            complain(f"nothing was written: {to} needs runs that are made again")
            raise typer.Exit(IntegrityError.exit_code)
        found = [(RunFolder(run), verdict) for run, verdict in zip(runs, verdicts, strict=True)]
        say(f"bundled {len(runs)} runs with their proof, {bundled(found, files, to):,} files: {to}")


def _named(files: list[Path]) -> dict[str, Path]:
    """Files by name. Raises UsageError for one that is not there, and for two of one name."""

    found: dict[str, Path] = {}
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        if path.name in found:
            raise UsageError(f"{path}: another file of this name goes with the runs, too")
        found[path.name] = path
    return found
