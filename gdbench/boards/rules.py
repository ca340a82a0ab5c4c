"""What decides a leaderboard besides its records: what is installed, what a suite asks for, and verdicts on columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdbench.boards.acceptance import NOTHING, Verdicts, read_verdicts
from gdbench.params import as_plain, build
from gdbench.record import DISCOVERY, EVALUATION, Cell
from gdbench.specs import Column, MethodSpec
from gdbench.tiers import TIERS

if TYPE_CHECKING:
    from gdbench.registry import Registry
    from gdbench.runs.suite import Suite

Versions = Mapping[tuple[str, str], int]
"""(kind, name) -> version, with kind "generator", "method", "domain", "metric", or a version of the protocol."""
PROTOCOL: Versions = {("discovery", "discovery"): DISCOVERY, ("evaluation", "evaluation"): EVALUATION}
ROLES = ("method", "control", "reference")
UNRANKED = {"paper": "has no cap, so its rows are shown and not ranked", "smoke": "is for tests and is not ranked"}


@dataclass(frozen=True)
class Rules:
    """What a leaderboard is computed by.

    versions: those that count; what they do not name counts in the highest version among the records. seeds: those that
    a suite asks for of a cell, and asked: how many of each method where a cell is; None where no suite says.
    verdicts: which columns must not rank, and the least differences that count. deterministic: methods whose seeds
    repeat only the evaluation. baselines: methods that all are set against. alike: method -> other tiers of the same
    parameters for each tier. spaces, params: generator -> the space and the parameters that stand for it across
    generators. changed: records of changed code count too. domains: domain -> why nothing ranks on its images.
    place: of generator, checkpoint and space in the suite; by it boards follow one another, by name where none says.
    """

    versions: Versions = field(default_factory=dict)
    seeds: Callable[[Cell], Collection[int]] | None = None
    asked: Callable[[Cell], Mapping[str, int]] | None = None
    verdicts: Verdicts = NOTHING
    deterministic: frozenset[str] = frozenset()
    baselines: frozenset[str] = frozenset()
    alike: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    spaces: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changed: bool = False
    domains: Mapping[str, str] = field(default_factory=dict)
    place: Callable[[str, str, str], int] | None = None

    def unranked(self, tier: str, domain: str) -> str:
        """Why nothing ranks in a tier on a domain, or ""."""
        if tier in UNRANKED:
            return f"tier {tier} {UNRANKED[tier]}"
        return f"domain {domain} {self.domains[domain]}" if domain in self.domains else ""

    def other_tiers(self, cell: Cell) -> tuple[str, ...]:
        """The tiers that a run is valid in besides its own."""
        return self.alike.get(cell.method, {}).get(cell.tier, ())


def rules_of(
    registry: Registry, columns: Mapping[str, Sequence[Column]], suite: Suite | None = None, changed: bool = False
) -> Rules:
    """The rules by what is installed, the seeds of a suite, and the verdicts of suite or columns."""

    methods = {name: offer.spec for name, offer in registry.methods.items()}
    generators = {name: offer.spec for name, offer in registry.generators.items()}
    versions = current_versions(registry)
    if suite and suite.acceptance:
        verdicts = read_verdicts(suite.acceptance, columns, versions)
    else:
        verdicts = Verdicts(
            {(metric, one.name): one.refused for metric, own in columns.items() for one in own if one.refused}
        )
    return Rules(
        versions=versions,
        seeds=suite.seeds if suite else None,
        asked=suite.asked if suite else None,
        verdicts=verdicts,
        deterministic=frozenset(name for name, spec in methods.items() if spec.deterministic),
        baselines=frozenset(name for name, spec in methods.items() if spec.baseline),
        alike={name: _alike(spec) for name, spec in methods.items()},
        spaces={name: spec.spaces[0] for name, spec in generators.items()},
        params={name: as_plain(build(spec.params, {}, where=name)) for name, spec in generators.items()},
        changed=changed,
        domains={name: offer.spec.unranked for name, offer in registry.domains.items() if offer.spec.unranked},
        place=suite.place if suite else None,
    )


def current_versions(registry: Registry) -> dict[tuple[str, str], int]:
    """The versions of what is installed."""
    kinds = registry.offers().items()
    return {(kind, name): offer.spec.version for kind, offers in kinds for name, offer in offers.items()}


def _alike(spec: MethodSpec) -> dict[str, tuple[str, ...]]:
    """Tier -> the other tiers in which the method has the same parameters."""
    params = {tier: dict(spec.tiers.get(tier, {})) for tier in TIERS}
    return {tier: tuple(one for one in TIERS if one != tier and params[one] == params[tier]) for tier in TIERS}
