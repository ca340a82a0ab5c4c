"""Rules of a leaderboard that come from what is installed: who draws, who is the baseline, which tiers are alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gdbench import Column, MethodSpec
from gdbench.boards.rules import rules_of
from gdbench.registry import Offer, Registry, load_registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def with_methods(registry: Registry, *specs: MethodSpec) -> Registry:
    provider = registry.method("random").provider
    return replace(registry, methods={spec.name: Offer(spec, provider) for spec in specs})


def method(name: str, **fields: object) -> MethodSpec:
    return MethodSpec(name, "a test", "nowhere:discover", **fields)  # type: ignore[arg-type]


def test_tiers_with_equal_parameters_are_alike(registry: Registry) -> None:
    specs = (method("closed"), method("learned", tiers={"standard": {"steps": 2}, "paper": {"steps": 2}}))
    alike = rules_of(with_methods(registry, *specs), {}).alike
    assert set(alike["closed"]["quick"]) == set(alike["closed"]) - {"quick"}  # no tier changes anything
    assert alike["learned"]["standard"] == ("paper",)
    assert "standard" not in alike["learned"]["quick"]


def test_deterministic_methods_and_baselines_are_told_by_their_specs(registry: Registry) -> None:
    specs = (method("draws"), method("fixed", deterministic=True), method("floor", role="control", baseline=True))
    rules = rules_of(with_methods(registry, *specs), {})
    assert rules.deterministic == {"fixed"}
    assert rules.baselines == {"floor"}
    assert rules.seeds is rules.asked is None  # no suite asked for anything


def test_versions_are_those_of_the_offers(registry: Registry) -> None:
    rules = rules_of(with_methods(registry, replace(method("mine"), version=7)), {})
    assert rules.versions["method", "mine"] == 7
    assert rules.versions["generator", "toy"] == registry.generator("toy").spec.version
    assert rules.spaces["toy"] == registry.generator("toy").spec.spaces[0]


def test_without_a_suite_a_column_is_refused_by_its_own_declaration(registry: Registry) -> None:
    columns = {"m": (Column("kept", "", better="higher"), Column("bad", "", better="higher", refused="it lies"))}
    assert rules_of(registry, columns).verdicts.refused == {("m", "bad"): "it lies"}
