"""Reproducing a run from its record alone: discover, calibrate and measure again, and say which of two claims held.

From saved directions every score must agree to ``CLOSE``. From scratch the directions must be the same bit for bit on
the same kind of processor, threads and torch. Elsewhere a learned method ends at other directions, as with another
seed; there every score must lie within ``SPREAD`` standard deviations between seeds, pooled as on leaderboards.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gdbench.boards.statistics import pooled
from gdbench.context import Reporter
from gdbench.errors import IntegrityError, UsageError
from gdbench.record import RunRecord, Score
from gdbench.registry import Registry
from gdbench.runs.environment import describe
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import Plan, plan, request_of
from gdbench.runs.recorded import missing_metrics
from gdbench.runs.stages import COST
from gdbench.runs.store import RunFolder, read_records

Start = Literal["directions", "scratch"]

CLOSE = 1e-3
"""Of the recorded number where that is above 1, else absolute."""
SPREAD = 3.0
"""Standard deviations between seeds, pooled over the methods of the board."""
OF_THE_MACHINE = {"s", "MiB", "MB", "GiB", "GB", "J"}
"""Units of columns that measure the machine, which are not compared when discovery is repeated."""
KIND = ("cpu", "instructions", "torch", "devices")
"""Facts of an environment on which the last digits depend, besides the number of threads."""


@dataclass(frozen=True)
class Difference:
    """A number that is not what the record says."""

    name: str
    recorded: str
    here: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.name}: recorded {self.recorded}, here {self.here}; allowed: {self.allowed}"


@dataclass(frozen=True)
class Verdict:
    """What became of a run that was made again.

    held: None where it could not be judged. claim: what held, what did not, or why that cannot be said. numbers: how
    many were compared. unlike: facts in which this machine differs from that of the record.
    """

    run: str
    start: Start
    held: bool | None
    claim: str
    numbers: int
    differences: tuple[Difference, ...] = ()
    unlike: tuple[str, ...] = ()

    def __str__(self) -> str:
        word = {True: "reproduced", False: "NOT reproduced", None: "not judged"}[self.held]
        where = f"; unlike there, or not known: {', '.join(self.unlike)}" if self.unlike else ""
        return f"{self.run}: {word} from {self.start}: {self.claim}{where}"


def reproduce(folder: RunFolder, registry: Registry, start: Start, reporter: Reporter, device: str = "auto") -> Verdict:
    """Make a finished run again in a folder that is thrown away, and compare. ``auto``: the device of the record.

    Raises IntegrityError for a run that cannot be believed, and UsageError where what is installed is not what made it.
    """
    record = folder.read(verify=True)
    if not folder.done or record.status != "done":
        raise UsageError(f"{folder.path}: {record.status} {record.reason}: only finished runs can be made again")
    if start == "directions" and not record.scores:
        raise UsageError(f"{folder.path}: has no scores yet: gdbench measure {folder.path}, or --from scratch")
    unlike = tuple(_unlike(record.environment, describe()))
    with tempfile.TemporaryDirectory(prefix="gdbench-reproduce-") as place:
        made = _planned(record, Path(place), registry, device)
        if start == "directions":
            _copy_directions(folder.path, made.request.out / made.id)
        again, _ = execute(made, registry, reporter)
    if again.status != "done":
        return Verdict(record.id, start, False, f"it {again.status} here: {again.reason}", 0, (), unlike)
    if start == "directions":
        return _close(record, again, start, f"numbers agree to {CLOSE:g}", unlike, registry)
    return _from_scratch(folder, record, again, unlike, registry)


def _planned(record: RunRecord, out: Path, registry: Registry, device: str) -> Plan:
    """The plan of the same run. Raises UsageError where other versions or weights are installed."""
    request = request_of(record, out, sorted(record.metric_params))
    counts = _threads(record.environment)
    request = replace(
        request,
        metric_params=record.metric_params,
        threads=counts[0] if len(counts) == 1 else None,
        device="cpu" if device == "auto" and not record.environment.get("devices") else device,
        suite="reproduced",  # which draws no grid of directions
    )
    made = plan(request, registry)
    old = {name: version for name, version in made.versions.items() if record.versions.get(name, version) != version}
    stale = [offer.spec.name for offer in missing_metrics(record, made.metrics, made.metric_params)]
    stale = [name for name in stale if name in record.metric_params]
    if made.id != record.id or old or stale:
        what = ", ".join([*(f"{name} {version}" for name, version in old.items()), *stale]) or "weights or parameters"
        raise UsageError(f"{record.id}: made with others than are installed ({what}): install those that made it")
    return made


def _copy_directions(source: Path, target: Path) -> None:
    target.mkdir()
    files = [*source.glob("directions.*"), source / COST]
    if not (source / COST).exists():
        raise IntegrityError(f"{source}: has no {COST}: its directions were not kept; --from scratch finds them again")
    for file in files:
        shutil.copyfile(file, target / file.name)


def score_differences(record: RunRecord, other: RunRecord, registry: Registry) -> list[Difference]:
    """The scores of ``record`` that differ in ``other`` by more than ``CLOSE``, but for what measures the machine."""
    recorded, here = _numbers(record), _numbers(other)
    names = [name for name in recorded if name not in _of_the_machine(registry)]
    return list(_differences(names, recorded, here, {}))


def _from_scratch(
    folder: RunFolder, record: RunRecord, again: RunRecord, unlike: tuple[str, ...], registry: Registry
) -> Verdict:
    changed = [
        Difference(name, f"sha256 {digest[:12]}...", f"{again.files.get(name, 'no such file')[:12]}...", "the same")
        for name, digest in sorted(record.files.items())
        if name.startswith("directions.") and again.files.get(name) != digest
    ]
    if not changed:
        return _close(record, again, "scratch", f"directions bit for bit, numbers to {CLOSE:g}", unlike, registry)
    if not unlike:
        claim = "the directions differ, on the same kind of processor, threads and torch"
        return Verdict(record.id, "scratch", False, claim, 0, tuple(changed))
    allowed = _spreads(_groups(folder, record, registry))
    if not allowed or not record.scores:
        claim = "the directions differ, and no other seeds lie beside the run to judge its scores by"
        return Verdict(record.id, "scratch", None, claim, 0, tuple(changed), unlike)
    return _judged(record, again, "scratch", f"scores within {SPREAD:g} s.d. of seeds", unlike, registry, allowed)


def _close(
    record: RunRecord, again: RunRecord, start: Start, claim: str, unlike: tuple[str, ...], registry: Registry
) -> Verdict:
    return _judged(record, again, start, claim, unlike, registry, {})


def _judged(
    record: RunRecord,
    again: RunRecord,
    start: Start,
    claim: str,
    unlike: tuple[str, ...],
    registry: Registry,
    allowed: Mapping[str, float],
) -> Verdict:
    """Every score of the record against that of the run made again, within what is allowed or ``CLOSE``."""
    machine = _of_the_machine(registry) if start == "scratch" else set()
    names = [name for name in _numbers(record) if name not in machine]
    found = tuple(_differences(names, _numbers(record), _numbers(again), allowed))
    agree = f"{len(names) - len(found)} of {len(names)}, {_equal(names, record, again)} to the last digit"
    said = f"{claim} ({agree})" if not found else f"not all {claim} ({agree})"
    return Verdict(record.id, start, not found, said, len(names), found, unlike)


def _differences(
    names: list[str], recorded: Mapping[str, Score], here: Mapping[str, Score], allowed: Mapping[str, float]
) -> Iterator[Difference]:
    for name in names:
        old, new = recorded[name], here.get(name, Score(None, "not measured"))
        if old.value is None or new.value is None:
            if (old.value is None) != (new.value is None):
                yield Difference(name, _text(old), _text(new), "both void, or neither")
            continue
        limit = max(allowed.get(name, 0.0), CLOSE * max(1.0, abs(old.value)))
        if abs(old.value - new.value) > limit:
            yield Difference(name, _text(old), _text(new), f"{limit:.3g}")


def _equal(names: list[str], record: RunRecord, again: RunRecord) -> int:
    """How many numbers are the same to the last digit."""
    recorded, here = _numbers(record), _numbers(again)
    return sum(name in here and recorded[name].value == here[name].value for name in names)


def _text(score: Score) -> str:
    return f"void ({score.void})" if score.value is None else f"{score.value:.6g}"


def _numbers(record: RunRecord) -> dict[str, Score]:
    """``metric.column`` -> score."""
    return {f"{metric}.{name}": score for metric, own in record.scores.items() for name, score in own.items()}


def _of_the_machine(registry: Registry) -> set[str]:
    """Columns that measure the machine, by their units."""
    columns = ((name, column) for name, offer in registry.metrics.items() for column in offer.spec.columns)
    return {f"{metric}.{column.name}" for metric, column in columns if column.unit in OF_THE_MACHINE}


def _groups(folder: RunFolder, record: RunRecord, registry: Registry) -> list[list[RunRecord]]:
    """The finished runs of the same board beside a run, itself too, by method: of methods that draw, and its own.

    As on leaderboards the variance between seeds is shared by all of them: that of three seeds alone says little.
    """
    cell = record.cell
    beside = folder.path.absolute().parent.glob(f"{cell.generator}-{cell.checkpoint}-*")
    records, _ = read_records(RunFolder(path) for path in sorted(beside) if path.is_dir() and path.name != record.id)
    groups: dict[str, list[RunRecord]] = {}
    for one in (record, *records):
        other = one.cell
        same = replace(other, method=cell.method, method_params=cell.method_params, seed=cell.seed) == cell
        if same and one.status == "done" and _shared_versions(one) == _shared_versions(record):
            groups.setdefault(f"{other.method} {sorted(other.method_params.items())}", []).append(one)
    return [group for group in groups.values() if record in group or _draws(group[0], registry)]


def _draws(record: RunRecord, registry: Registry) -> bool:
    """Whether the run is of a method whose directions depend on the seed."""
    offer = registry.methods.get(record.cell.method)
    return record.role == "method" and offer is not None and not offer.spec.deterministic


def _shared_versions(record: RunRecord) -> dict[str, int | None]:
    return {name: version for name, version in record.versions.items() if name != "method"}


def _spreads(groups: list[list[RunRecord]]) -> dict[str, float]:
    """``metric.column`` -> ``SPREAD`` standard deviations between seeds, pooled over methods."""
    found: dict[str, list[list[float]]] = {}
    for group in groups:
        numbers = [_numbers(record) for record in group]
        for name in {name for own in numbers for name in own}:
            values = [own[name].value for own in numbers if name in own]
            found.setdefault(name, []).append([value for value in values if value is not None])
    spreads = {name: pooled(values) for name, values in found.items()}
    return {name: SPREAD * math.sqrt(spread.variance) for name, spread in spreads.items() if spread is not None}


def _threads(environment: Mapping[str, Any]) -> list[int]:
    """The numbers of threads that a run was computed with; more than one where it changed them."""
    used = environment.get("threads_seconds") or ([environment["threads"]] if "threads" in environment else [])
    return [int(count) for count in used]


def _unlike(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """The facts in which two environments differ, or that the earlier one does not state."""
    if len(_threads(there)) != 1:  # one number of threads is used again
        yield "threads (several, or the record does not say)"
    for name in KIND:
        if name not in there:
            yield f"{name} (the record does not say)"
        elif there[name] != here.get(name):
            yield f"{name} ({here.get(name)} here, {there[name]} there)"
