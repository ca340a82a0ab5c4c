"""The pool: a folder in which each run lies once, and a suite's view of it: the runs that the suite asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gdbench.record import DISCOVERY, EVALUATION, Cell, RunRecord
from gdbench.registry import Registry
from gdbench.runs.planning import Plan, cell_of, plan
from gdbench.runs.recorded import is_complete
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder, find_runs, read_records
from gdbench.runs.suite import Suite
from gdbench.tiers import TIERS
from gdbench.weights.checkpoints import default_folder, named

RESULTS = Path("results")
Place = tuple[str, str, str, str, int, int]
NAMED = 8
"""So many missing runs are named singly; more are counted by generator."""


def pool_of(suite: Suite) -> Path:
    """Where the runs of a suite lie unless told otherwise: in ``results`` where that is here, else beside it."""
    return RESULTS / suite.runs if RESULTS.is_dir() else Path(suite.runs)


def board_folder(pool: Path, suite: Suite) -> Path:
    """Where the leaderboard of a suite is kept: in a folder of its name, beside a pool in ``results``, else within."""
    home = pool.absolute().parent
    return (pool.parent if home.name == RESULTS.name else pool) / suite.name


@dataclass(frozen=True)
class Asked:
    """One run that a suite asks for. weights: SHA-256 of the checkpoint that is meant, "" where nothing says."""

    cell: Cell
    weights: str
    versions: tuple[tuple[str, int], ...]

    @property
    def place(self) -> str:
        """The generator and the space, as people call them."""
        return f"{self.cell.generator}/{self.cell.checkpoint} ({self.cell.space})"

    @property
    def name(self) -> str:
        """What people call the run."""
        return f"{self.place} x {self.cell.method}, seed {self.cell.seed}, K {self.cell.k}"

    @property
    def prefix(self) -> str:
        """What the id of the run begins with."""
        cell = self.cell
        return f"{cell.generator}-{cell.checkpoint}-{cell.method}-s{cell.seed}-"

    def is_met_by(self, record: RunRecord) -> bool:
        """Whether ``record`` is of this run; a method of the same parameters in two tiers is run once for both."""
        made = record.cell
        if self.cell.tier in TIERS and made.tier in TIERS:
            made = replace(made, tier=self.cell.tier)
        same = made == self.cell and self.weights in ("", record.checkpoint_sha256)
        return same and all(record.versions.get(kind) == version for kind, version in self.versions)


@dataclass(frozen=True)
class SuiteRuns:
    """What a pool has of a suite: the records, in the order of the suite, what is missing, and what is not believed."""

    suite: Suite
    records: tuple[RunRecord, ...]
    missing: tuple[Asked, ...]
    problems: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The runs that a leaderboard of this suite is made of."""
        return tuple(record.id for record in self.records)

    @property
    def note(self) -> str:
        """How much of the suite is there, in a sentence that names what is missing, or counts it where that is much."""
        asked = len(self.records) + len(self.missing)
        said = f"suite {self.suite.name}: {len(self.records)} of {asked} runs are there"
        names = [one.name for one in self.missing]
        if len(names) > NAMED:
            places = Counter(one.place for one in self.missing)
            names = [f"{count} of {place}" for place, count in places.items()]
        return f"{said}; missing: {'; '.join(names)}" if names else said


def suite_runs(suite: Suite, registry: Registry, pool: Path) -> SuiteRuns:
    """The runs of ``pool`` that ``suite`` asks for, in the installed versions of protocol, generator and method.

    No weights are needed. Raises UsageError for names and parameters that nothing installed has.
    """
    names: dict[tuple[str, str | None], tuple[str, str]] = {}  # the cards of a family are read once
    asked = [_asked(request, registry, names) for request in suite.requests]
    prefixes = {one.prefix for one in asked}
    folders = [folder for folder in find_runs(pool) if _prefix(folder) in prefixes]
    records, problems = read_records(folders)
    return chosen(suite, asked, records, problems)


def chosen(suite: Suite, asked: Iterable[Asked], records: Iterable[RunRecord], problems: Iterable[str]) -> SuiteRuns:
    """For each run that is asked for the record of its own tier, else that of a tier with the same parameters."""
    known: dict[Place, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: (record.status != "done", record.id)):
        known.setdefault(_place(record.cell), []).append(record)
    found, missing = dict[str, RunRecord](), []
    for one in asked:
        fitting = [record for record in known.get(_place(one.cell), ()) if one.is_met_by(record)]
        fitting.sort(key=lambda record: record.cell.tier != one.cell.tier)
        if fitting:
            found[fitting[0].id] = fitting[0]
        else:
            missing.append(one)
    return SuiteRuns(suite, tuple(found.values()), tuple(missing), tuple(problems))


def _asked(request: RunRequest, registry: Registry, names: dict[tuple[str, str | None], tuple[str, str]]) -> Asked:
    generator, method = registry.generator(request.gan).spec, registry.method(request.method).spec
    key = request.gan, request.checkpoint
    if key not in names:
        names[key] = named(generator, request.checkpoint, default_folder())
    name, weights = names[key]
    protocol = (("discovery", DISCOVERY), ("evaluation", EVALUATION))
    versions = (*protocol, ("generator", generator.version), ("method", method.version))
    return Asked(cell_of(request, registry, name), weights, versions)


def _prefix(folder: RunFolder) -> str:
    """What the name of a run folder begins with, before its hash."""
    return f"{folder.path.name.rpartition('-')[0]}-"


def _place(cell: Cell) -> Place:
    """What two runs of which one meets the other have in common, among other things."""
    return cell.generator, cell.checkpoint, cell.method, cell.space, cell.seed, cell.k


def is_complete_in_pool(made: Plan, registry: Registry) -> bool:
    """Whether the plan's run is there with every metric, or that of a tier in which the method is the same."""
    return is_complete(made) or any(is_complete(replace(made, id=other.id)) for other in _alike(made, registry))


def _alike(made: Plan, registry: Registry) -> Iterator[Plan]:
    """The same run planned in the other tiers in which its method has the same parameters."""
    if made.cell.tier not in TIERS:
        return
    for tier in TIERS:
        if tier != made.cell.tier:
            other = plan(replace(made.request, tier=tier), registry, found=made.checkpoint)  # type: ignore[arg-type]
            if replace(other.cell, tier=made.cell.tier) == made.cell:
                yield other
