"""What ``bench`` and ``work`` share: the cells of a suite, an engine for them, and a line for each that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdbench.engines import Engine, EngineSetup, Resources
from gdbench.errors import MissingFile
from gdbench.params import build
from gdbench.progress import reporter
from gdbench.registry import Registry
from gdbench.runs.bench import Bench
from gdbench.runs.planning import Plan, plan_all
from gdbench.runs.pool import is_complete_in_pool, pool_of
from gdbench.runs.suite import Suite, read_suite
from gdbench.specs import resolve

ENGINES = ".engines"


@dataclass(frozen=True)
class Grid:
    """A suite in its pool ``out``: the ids of runs that are complete, the plans of the others, and what each needs."""

    suite: Suite
    out: Path
    complete: Set[str]
    waiting: Sequence[Plan]
    resources: Mapping[str, Resources]


@dataclass(frozen=True)
class Started:
    """An engine, and what each cell needs when it runs there, by id."""

    engine: Engine
    resources: Mapping[str, Resources]


def grid_of(path: Path, out: Path | None, given: Mapping[str, Any], offers: Registry, only: str) -> Grid:
    """The cells of the suite in a file whose names contain ``only``; ``given``: settings of all its requests.

    Raises UsageError and MissingFile, before anything is started.
    """
    suite = read_suite(path)
    out = out or pool_of(suite)
    plans = plan_all([replace(request, out=out, **given) for request in suite.requests], offers)
    resources = {made.id: needs for made, needs in zip(plans, suite.resources, strict=True)}
    plans = [made for made in plans if only in made.id]
    waiting = [made for made in plans if not is_complete_in_pool(made, offers)]
    reporter().log(f"{suite.name}: {len(plans)} cells, {len(plans) - len(waiting)} of them done already")
    complete = {made.id for made in plans} - {made.id for made in waiting}
    return Grid(suite, out, complete, waiting, resources)


def start(
    grid: Grid, offers: Registry, name: str, given: Mapping[str, Any], jobs: int | None, timeout: float | None
) -> Started:
    """The engine of that name, with the parameters that its suite states and then those ``given``.

    Raises UsageError for these, MissingFile where the engine cannot be used here.
    """
    spec = offers.engine(name).spec
    params: Any = build(spec.params, grid.suite.engines.get(name, {}), given, where=f"engine {name}")
    if spec.available is not None and (lacking := str(resolve(spec.available)())):
        raise MissingFile(f"engine {name}: {lacking}")
    setup = EngineSetup(grid.out / ENGINES / name, reporter(), jobs)
    engine: Engine = resolve(spec.start)(params, setup)
    for known in grid.complete & set(engine.states()):
        engine.forget(known)
    resources = {each: replace(needs, time=timeout or needs.time) for each, needs in grid.resources.items()}
    return Started(engine, resources)


def work(grid: Grid, started: Started, plugins: Sequence[Path], stays: bool = True, submits: bool = False) -> int:
    """Run what waits, with a line for each cell that ended; how many of them failed."""
    bench = Bench(started.engine, tuple(plugins), started.resources, stays=stays, submits=submits)
    shown, failures = reporter(), 0
    for outcome in bench.run(grid.waiting, shown):
        failures += outcome.status not in ("done", "incompatible")
        shown.log(f"{outcome.plan.id}: {outcome.status} in {outcome.seconds:.0f} s {outcome.reason}".rstrip())
    return failures
