"""Carry directions that were saved under protocol 1 over to the pool of runs: ``python benchmarks/migrate.py``.

Version 2 of the protocol changed how directions are evaluated, not how they are discovered. So for each finished run of
RESULTS/SUITE whose directions are here, and which the installed generator and method would discover again, the pool
gets a folder under its new id: the directions, what they cost, when and by which commit they were discovered, and
``migrated_from``, the old id. There are no scores in it: ``gdbench bench`` and ``gdbench measure`` calibrate and
measure it anew. What is there already is left alone, so a second call changes nothing; nothing is removed.

Pools are those of the suites in ``benchmarks`` (RESULTS/runs, where a suite names no other).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gdbench.directions import FACTS, TENSORS, load_directions
from gdbench.errors import GdbenchError
from gdbench.record import RunRecord
from gdbench.registry import Registry, load_registry
from gdbench.runs.pipeline import blank
from gdbench.runs.planning import Plan, plan, request_of
from gdbench.runs.stages import COST
from gdbench.runs.store import RunFolder, find_runs, open_run
from gdbench.runs.suite import read_suite
from gdbench.tensors import load_tensors, save_tensors

HERE = Path(__file__).parent
PROTOCOL = 1
"""The version that is carried over; its discovery is version 1 of the discovery of today."""


@dataclass(frozen=True)
class Outcome:
    """What became of one old run folder. id: in the pool, "" where it was left; reason: why."""

    folder: Path
    kind: Literal["migrated", "there already", "left"]
    id: str = ""
    reason: str = ""

    def __str__(self) -> str:
        where = f"{self.folder.parent.name}/{self.folder.name}"
        return f"{self.kind}: {where}" + (f" -> {self.id}" if self.id else "") + (self.reason and f": {self.reason}")


class Left(Exception):
    """The run cannot be carried over; the message says why."""


def migrate(results: Path, registry: Registry) -> Iterator[Outcome]:
    """Carry over the runs of all suites in ``results``, in order of names."""
    pools = _pools(results)
    for suite in sorted(path for path in results.iterdir() if path.is_dir()):
        for folder in find_runs(suite):
            if folder.path.parent == suite and not _is_current(folder):
                yield _migrated(folder, pools.get(suite.name, results / "runs"), registry)


def _is_current(folder: RunFolder) -> bool:
    """Whether the run is one of the pool already, which may lie among the old ones."""
    try:
        return "discovery" in folder.read().versions
    except GdbenchError:
        return False


def _pools(results: Path) -> dict[str, Path]:
    """Suite -> its pool."""
    suites = [read_suite(path) for path in sorted(HERE.glob("*.yaml"))]
    return {suite.name: results / suite.runs for suite in suites}


def _migrated(folder: RunFolder, pool: Path, registry: Registry) -> Outcome:
    try:
        record = _checked(folder)
        made = _planned(record, pool, registry)
        directions = load_directions(folder.path, registry.packages)
        if (len(directions), directions.space) != (made.cell.k, made.cell.space):
            raise Left(f"holds {len(directions)} directions in {directions.space}")
        with open_run(pool, made.id) as new:
            if new.done or (new.path / COST).exists():
                return Outcome(folder.path, "there already", made.id)
            _copy(folder.path, new.path)
            new.write(_renamed(record, made))
    except (Left, GdbenchError, OSError, ValueError, KeyError) as error:
        return Outcome(folder.path, "left", reason=" ".join(str(error).split()))
    return Outcome(folder.path, "migrated", made.id)


def _checked(folder: RunFolder) -> RunRecord:
    """The record of a run that is whole and has its directions."""
    if not folder.done:
        raise Left("not finished")
    record = folder.read(verify=True)
    if record.versions.get("protocol") != PROTOCOL:
        raise Left(f"of protocol {record.versions.get('protocol')}")
    if record.status != "done":
        raise Left(f"{record.status}: {record.reason}")
    if record.environment.get("changed"):
        raise Left("made by changed code, which nobody can run again")
    absent = [name for name in (TENSORS, FACTS, COST) if not (folder.path / name).exists()]
    if absent:
        raise Left(f"{absent[0]} is not here")
    return record


def _planned(record: RunRecord, pool: Path, registry: Registry) -> Plan:
    """The same run as it is planned today, if that would find the same directions."""
    made = plan(request_of(record, pool, ()), registry)
    for kind, version in made.decisive.items():
        before = record.versions.get("protocol" if kind == "discovery" else kind)
        if before != version:
            raise Left(f"{kind} version {before}, now {version}")
    if made.checkpoint.sha256 != record.checkpoint_sha256:
        raise Left(f"weights {record.checkpoint_sha256[:12]}, now {made.checkpoint.sha256[:12]}")
    if made.incompatible:
        raise Left(made.incompatible)
    return made


def _renamed(record: RunRecord, made: Plan) -> RunRecord:
    """What stays true of the old record: all about the discovery, nothing about the evaluation."""
    now = blank(made)
    return replace(
        record,
        id=made.id,
        cell=made.cell,
        role=now.role,
        checkpoint_status=now.checkpoint_status,
        checkpoint_lacks=now.checkpoint_lacks,
        versions={**made.decisive, "domain": record.versions["domain"]},
        scores={},
        metric_params={},
        costs={stage: cost for stage, cost in record.costs.items() if stage == "discover"},
        files={},
        migrated_from=record.id,
    )


def _copy(old: Path, new: Path) -> None:
    """Directions, large ones in half precision, then what they cost: the file by which a discovery counts as done."""
    save_tensors(new / TENSORS, load_tensors(old / TENSORS))
    for name in (FACTS, COST):
        shutil.copyfile(old / name, new / f".{name}.{os.getpid()}.part")
        (new / f".{name}.{os.getpid()}.part").replace(new / name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each old run, and how many there were of each kind."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", default=HERE.parent / "results")
    parser.add_argument("--plugin", type=Path, action="append", default=[], help="a file of hooks, as for gdbench")
    asked = parser.parse_args(arguments)
    outcomes = []
    for outcome in migrate(asked.results, load_registry(asked.plugin)):
        outcomes.append(outcome)
        print(outcome, flush=True)
    counts = {kind: sum(outcome.kind == kind for outcome in outcomes) for kind in ("migrated", "there already", "left")}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
