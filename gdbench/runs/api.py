"""gdbench from Python and notebooks: the same run as on the command line, returned as values and DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gdbench.context import SILENT, Reporter
from gdbench.directions import load_directions
from gdbench.errors import MissingFile
from gdbench.own import with_own
from gdbench.params import build
from gdbench.protocols import Bindable
from gdbench.record import RunRecord
from gdbench.registry import Registry, load_registry
from gdbench.runs.device import pick_device
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder, find_runs, read_records
from gdbench.runs.tables import read_tables
from gdbench.specs import resolve
from gdbench.weights.checkpoints import default_folder, find

if TYPE_CHECKING:
    import pandas as pd

    from gdbench import Explorer
    from gdbench.protocols import Directions, Domain, Generator
    from gdbench.wrapping import Wrapped


@dataclass(frozen=True)
class Run:
    """A finished run: its record, its folder, and the plugin files with which it was made."""

    record: RunRecord
    folder: Path
    plugins: tuple[Path, ...] = ()

    @property
    def scores(self) -> pd.DataFrame:
        """One row per metric and column: value (NaN where void) and the reason; none where nothing was measured."""
        import pandas as pd  # takes .3 s, which loading a generator does not need

        rows = [
            {"metric": metric, "column": column, "value": score.value, "void": score.void}
            for metric, columns in self.record.scores.items()
            for column, score in columns.items()
        ]
        return pd.DataFrame(rows, columns=["metric", "column", "value", "void"]).astype({"value": "float64"})

    @property
    def per_direction(self) -> pd.DataFrame:
        """One row per direction, one column per (metric, column), from the tables in the run folder."""
        import pandas as pd

        frames = read_tables(self.folder)
        return pd.concat(frames, axis=1) if frames else pd.DataFrame()

    @property
    def directions(self) -> Directions:
        """The directions; those that their generator computes are bound to it, on a CPU.

        Raises MissingFile where the run has none: its record says why, or they are not checked out.
        """

        registry, cell = load_registry(self.plugins), self.record.cell
        try:
            loaded = load_directions(self.folder, registry.packages)
        except FileNotFoundError as error:
            why = f"{self.record.status} {self.record.reason}".strip()
            missing = Path(str(error.filename)).name
            raise MissingFile(f"{self.folder}: no directions ({missing} is not there); the run is {why}") from None
        if not isinstance(loaded, Bindable):
            return loaded
        generator = _generator(registry, cell.generator, cell.checkpoint, "cpu", cell.generator_params)
        return loaded.bound(generator)

    def explore(self, *others: Run | str | Path, latents: int = 4, blind: bool = False) -> Explorer:
        """A page with sliders for the directions of this run, and of ``others`` beside it; a notebook shows it.

        See ``gdbench.explore``.
        """
        import gdbench

        return gdbench.explore(self, *others, latents=latents, blind=blind)


def run(
    gan: str | Wrapped,
    method: str,
    *,
    reporter: Reporter = SILENT,
    plugins: str | Path | Sequence[str | Path] = (),
    out: str | Path = "runs",
    **options: Any,
) -> Run:
    """Run one cell, as ``gdbench run`` does.

    gan: the name of an installed generator, ``FILE.py:NAME``, or what ``gdbench.wrap`` gives.

    options: the fields of a run request: checkpoint, space, k, seed, tier, metrics, device, threads, offline,
    method_params, generator_params, metric_params, domain, fresh. Raises GdbenchError with one line; a method or
    metric that raised gives a record with status "failed" and the reason; on a finished run a metric that raised is a
    GdbenchError.
    """
    named = gan if isinstance(gan, str) else gan.name
    request = RunRequest(gan=named, method=method, out=Path(out), **options)
    files = _files(plugins)
    registry = with_own(load_registry(files), gan)
    record, folder = execute(plan(request, registry), registry, reporter)
    return Run(record, folder.path, files)


def read_run(folder: str | Path, plugins: str | Path | Sequence[str | Path] = ()) -> Run:
    """The run in ``folder``, after checking every hash; ``plugins`` are the files it was made with.

    Raises IntegrityError.
    """
    return Run(RunFolder(Path(folder)).read(verify=True), Path(folder), _files(plugins))


class Runs(NamedTuple):
    """The runs below a folder that can be believed, and one line for each that cannot."""

    runs: tuple[Run, ...]
    problems: tuple[str, ...]


def read_runs(folder: str | Path, plugins: str | Path | Sequence[str | Path] = ()) -> Runs:
    """All runs below ``folder``, in order of name, after checking every hash.

    What is damaged or was interrupted is no run but one of the ``problems``: nothing is lost without a word, and
    nothing stops the others. ``gdbench.leaderboard(runs)`` compares them.
    """
    runs, problems = [], []
    for found in find_runs(Path(folder)):
        records, lines = read_records([found])
        runs += [Run(record, found.path, _files(plugins)) for record in records]
        problems += lines
    return Runs(tuple(runs), tuple(problems))


def load_generator(name: str, checkpoint: str | Path | None = None, device: str = "cpu", **params: Any) -> Generator:
    """A generator, ready to sample and render.

    checkpoint: a name (``gdbench list checkpoints``) or the path of a converted or official file or folder; None is the
    family's first shipped one. params: the family's own (truncation, noise, ...). Raises UsageError, MissingFile,
    IntegrityError.
    """
    return _generator(load_registry(), name, None if checkpoint is None else str(checkpoint), device, params)


def load_domain(name: str, device: str = "cpu") -> Domain:
    """A domain with its images, masks, factors and oracles. Raises UsageError for an unknown name."""
    loaded: Domain = resolve(load_registry().domain(name).spec.load)(pick_device(device))
    return loaded


def _files(plugins: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """Plugin files; one may be given as it is."""
    return tuple(map(Path, [plugins] if isinstance(plugins, str | Path) else plugins))


def _generator(
    registry: Registry, name: str, checkpoint: str | None, device: str, params: Mapping[str, Any]
) -> Generator:
    spec = registry.generator(name).spec
    found = find(spec, checkpoint, default_folder(), offline=True)
    typed: Any = build(spec.params, params, where=f"generator {name}")
    loaded: Generator = resolve(spec.load)(found.path, typed, pick_device(device))
    return loaded
