"""Which records stand on a leaderboard, and on which of its boards. What is left out is counted and told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gdbench.boards.board import Key
from gdbench.boards.rules import PROTOCOL, Rules, Versions
from gdbench.record import RunRecord

WEIGHTS = 12
"""Digits of a checkpoint's SHA-256 that tell it from others of the same name."""


@dataclass(frozen=True)
class Selection:
    """The records of each board, finished ones first, then by id; versions that count; lines on what is left out.

    refused: how many are left out since their code was changed.
    """

    groups: tuple[tuple[Key, tuple[RunRecord, ...]], ...]
    versions: Versions
    notes: tuple[str, ...]
    refused: int = 0


def select(records: Iterable[RunRecord], rules: Rules) -> Selection:
    """The records that count, by board; whatever their order."""
    kept = sorted(_distinct(records), key=_order)
    versions = {**_highest(kept), **rules.versions, **PROTOCOL}
    notes = []
    committed = kept if rules.changed else [record for record in kept if not _changed(record)]
    if refused := len(kept) - len(committed):
        notes.append(f"{_records(refused)} of changed code refused: commit, then run again; --changed shows them here")
    fresh = [one for one in committed if all(versions[key] == version for key, version in made_with(one).items())]
    if old := len(committed) - len(fresh):
        notes.append(f"{_records(old)} of other versions of protocol or plugins left out")
    groups = _groups(fresh, rules)
    placed = {record.id for _, members in groups for record in members}
    if others := sum(record.id not in placed for record in fresh):
        notes.append(f"{_records(others)} that the suite does not ask for left out")
    if rules.changed and (shown := sum(map(_changed, fresh))):
        notes.append(f"{_records(shown)} of changed code among these: nobody can make them again")
    return Selection(tuple(groups), versions, tuple(notes), refused)


def _records(n: int) -> str:
    return f"{n} {'record' if n == 1 else 'records'}"


def _changed(record: RunRecord) -> bool:
    return record.environment.get("changed") is True


def _order(record: RunRecord) -> tuple[bool, str]:
    """Finished records first, then by id."""
    return record.status != "done", record.id


def _distinct(records: Iterable[RunRecord]) -> list[RunRecord]:
    """One record for each id: a finished one where there is one; of several, the first by its text."""
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.id, []).append(record)
    return [
        own[0] if len(own) == 1 else min(own, key=lambda one: (*_order(one), one.to_json())) for own in found.values()
    ]


def made_with(record: RunRecord) -> dict[tuple[str, str], int]:
    """The versions behind the directions of a record and behind their evaluation."""
    cell = record.cell
    names = {"generator": cell.generator, "method": cell.method, "domain": record.domain}
    names |= {kind: kind for kind, _ in PROTOCOL}
    return {(kind, name): record.versions.get(kind, 0) for kind, name in names.items()}


def _highest(records: Iterable[RunRecord]) -> dict[tuple[str, str], int]:
    highest: dict[tuple[str, str], int] = {}
    for record in records:
        metrics = {("metric", metric): record.versions.get(f"metric:{metric}", 0) for metric in record.scores}
        for key, version in {**made_with(record), **metrics}.items():
            highest[key] = max(version, highest.get(key, 0))
    return highest


def _groups(records: Sequence[RunRecord], rules: Rules) -> list[tuple[Key, tuple[RunRecord, ...]]]:
    """Boards in order of their keys. A run stands at its own tier, and at others of the same parameters.

    Those come after the runs of the tier itself, so that of two for one seed the tier's own counts.
    """
    own_keys = {_sorted_by(key_of(record)) for record in records}
    groups: dict[str, tuple[Key, list[RunRecord]]] = {}
    for visiting in (False, True):
        for record in records:
            own = key_of(record)
            tiers = rules.other_tiers(record.cell) if visiting else (record.cell.tier,)
            for key in (replace(own, tier=tier) for tier in tiers):
                if _asked(record, key, rules) and (rules.seeds is not None or _sorted_by(key) in own_keys):
                    groups.setdefault(_sorted_by(key), (key, []))[1].append(record)
    return [(key, tuple(members)) for _, (key, members) in sorted(groups.items())]


def _asked(record: RunRecord, key: Key, rules: Rules) -> bool:
    """Whether a suite, where there is one, asks for a record in the tier of a board."""
    return rules.seeds is None or record.cell.seed in rules.seeds(replace(record.cell, tier=key.tier))


def key_of(record: RunRecord) -> Key:
    """What a record shares with all that may stand on its board, in its own tier."""
    cell = record.cell
    return Key(
        generator=cell.generator,
        checkpoint=cell.checkpoint,
        weights=record.checkpoint_sha256[:WEIGHTS],
        params=dict(cell.generator_params),
        space=cell.space,
        domain=record.domain,
        tier=cell.tier,
        k=cell.k,
    )


def _sorted_by(key: Key) -> str:
    return json.dumps({**key.as_row(), "k": f"{key.k:06d}"})


def beyond_cap(record: RunRecord, cap: int | None) -> int:
    """The images that a run's discovery rendered, where they are more than ``cap``; else 0."""
    images = record.costs["discover"].images if "discover" in record.costs else 0
    return images if cap is not None and images > cap else 0


def reasons(records: Iterable[RunRecord]) -> Iterator[str]:
    """A line for each run that is not done."""
    for record in sorted(records, key=lambda one: one.cell.seed):
        if record.status != "done":
            yield f"seed {record.cell.seed}: {record.status}: {record.reason}"
