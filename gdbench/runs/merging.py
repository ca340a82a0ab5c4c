"""Merging pools: every run of both, none twice, and nothing replaced without a word and a copy of what was there.

Two executions of one cell have one id and different bytes: seconds and dates differ at least. The complete and current
one stays; where both are, the one that was there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gdbench.errors import Busy, GdbenchError
from gdbench.files import atomic_write, write_text
from gdbench.record import DISCOVERY, EVALUATION, RunRecord
from gdbench.registry import Registry
from gdbench.runs.packing import contents, pack
from gdbench.runs.reproducing import score_differences
from gdbench.runs.store import DONE, RECORD, RunFolder, open_run
from gdbench.runs.verifying import run_folders, verify

REPLACED = "replaced"
"""The folder of a pool in which tars of replaced runs lie."""
What = Literal["new", "same", "kept", "replaced", "left out"]


@dataclass(frozen=True)
class Merged:
    """What became of one run. attention: somebody should look at it."""

    run: str
    what: What
    why: str = ""
    attention: bool = False

    def __str__(self) -> str:
        return f"{self.run}: {self.what}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True)
class _Standing:
    """How far a run can be relied on; the larger, the better."""

    whole: bool
    done: bool
    current: bool
    metrics: frozenset[str]

    def words(self) -> str:
        if not self.whole:
            return "damaged or unfinished"
        if not self.done:
            return "not done"
        return "of other versions than are installed" if not self.current else f"with {len(self.metrics)} metrics"


def merge(sources: Sequence[Path], target: Path, registry: Registry) -> Iterator[Merged]:
    """Bring every run below ``sources`` into the pool ``target``; sources stay as they are."""
    for source in sources:
        for folder in run_folders(source):
            try:
                yield bring(folder, target, registry)
            except Busy as error:
                yield Merged(folder.path.name, "left out", str(error), attention=True)


def bring(source: RunFolder, target: Path, registry: Registry) -> Merged:
    """Bring one run into a pool. Raises Busy where a process works on the run there."""
    try:
        record = source.read()
    except GdbenchError as error:
        return Merged(source.path.name, "left out", str(error), attention=True)
    if source.held:
        return Merged(record.id, "left out", f"{source.path} is being made now", attention=True)
    if "/" in record.id or record.id.startswith(".") or not record.id.isprintable():
        return Merged(source.path.name, "left out", "its id is no name of a folder", attention=True)
    there = RunFolder(target / record.id)
    if not (there.path / RECORD).exists() and not contents(there.path):
        _copy(source, target, record.id)
        return Merged(record.id, "new", attention=not source.done, why="" if source.done else "it is not finished")
    here, old = _standing(source, record, registry), _standing_at(there, registry)
    if here.whole and old.whole and _bytes(source) == _bytes(there):
        return Merged(record.id, "same")
    if _better(here, old):
        kept = _set_aside(there, target)
        _copy(source, target, record.id)
        return Merged(record.id, "replaced", f"that of {target} was {old.words()}, it lies in {kept}")
    if _better(old, here):
        return Merged(record.id, "kept", f"that of {source.path} is {here.words()}")
    why, attention = _apart(record, there, here, old, registry)
    return Merged(record.id, "kept", f"{why}; {source.path} stays as it is", attention)


def _standing(folder: RunFolder, record: RunRecord, registry: Registry) -> _Standing:
    offers, cell = registry.offers(), record.cell
    names = {"generator": cell.generator, "method": cell.method, "domain": record.domain}
    versions = {kind: offers[kind][name].spec.version for kind, name in names.items() if name in offers[kind]}
    versions |= {"discovery": DISCOVERY, "evaluation": EVALUATION}
    current = all(record.versions.get(kind) == version for kind, version in versions.items())
    metrics = {name: offer.spec.version for name, offer in registry.metrics.items()}
    own = {name for name in record.metric_params if record.versions.get(f"metric:{name}") == metrics.get(name)}
    return _Standing(not verify(folder).faults, record.status == "done", current, frozenset(own))


def _standing_at(folder: RunFolder, registry: Registry) -> _Standing:
    try:
        return _standing(folder, folder.read(), registry)
    except GdbenchError:
        return _Standing(False, False, False, frozenset())


def _better(one: _Standing, other: _Standing) -> bool:
    first, second = ((own.whole, own.done, own.current) for own in (one, other))
    return first > second or (first == second and one.metrics > other.metrics)


def _apart(
    record: RunRecord, there: RunFolder, here: _Standing, old: _Standing, registry: Registry
) -> tuple[str, bool]:
    """What tells two runs apart of which neither is better, and whether somebody should look at it."""
    if not old.whole:
        return "both are damaged or unfinished", True
    other = there.read()
    if more := sorted(here.metrics - old.metrics):
        return f"each has metrics that the other lacks ({', '.join(more)}): gdbench measure adds them", True
    if far := score_differences(other, record, registry):
        return f"made twice, and {len(far)} scores differ ({far[0]})", True
    return "made twice, with the same scores", False


def _bytes(folder: RunFolder) -> bytes:
    return (folder.path / RECORD).read_bytes()


def _set_aside(folder: RunFolder, pool: Path) -> Path:
    """Pack what a pool has of a run, so that it can be replaced."""
    aside = pool / REPLACED
    number = 1 + len(list(aside.glob(f"{folder.path.name}-*.tar")))
    target = aside / f"{folder.path.name}-{number}.tar"
    pack({f"runs/{folder.path.name}/{name}": path for name, path in contents(folder.path).items()}, target)
    return target


def _copy(source: RunFolder, pool: Path, run: str) -> None:
    """Copy a run into a pool; ``done`` comes last, so that half a copy is never believed."""
    with open_run(pool, run) as held:
        held.reopen()
        held.clear()
        for name, path in contents(source.path).items():
            if name != DONE:
                (held.path / name).parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(held.path / name) as copy, path.open("rb") as original:
                    shutil.copyfileobj(original, copy)
        if source.done:
            write_text(held.path / DONE, (source.path / DONE).read_text())
