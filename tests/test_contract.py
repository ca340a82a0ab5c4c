"""Every first-party plugin keeps the contract that strangers are held to; what the user has downloaded plays no part."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbench.registry import Registry, load_registry
from gdbench.testing import checks, clauses
from gdbench.testing.runner import offers


def first_party(registry: Registry) -> list[str]:
    kinds = (registry.generators, registry.methods, registry.metrics, registry.domains)
    return sorted({name for kind in kinds for name, offer in kind.items() if offer.origin.distribution == "gdbench"})


@pytest.fixture(autouse=True)
def _no_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.mark.gdbench_checks(*first_party(load_registry()))
def test_contract(gdbench_check) -> None:  # type: ignore[no-untyped-def]
    gdbench_check()


def test_no_first_party_plugin_is_broken() -> None:
    broken = [str(fault) for fault in load_registry().broken if fault.distribution == "gdbench"]
    assert broken == []


def test_what_is_shipped_is_checked_and_not_skipped() -> None:
    registry = load_registry()
    names = [name for name, offer in registry.domains.items() if offer.origin.distribution == "gdbench"]
    names += [name for name, offer in registry.generators.items() if any(c.shipped for c in offer.spec.checkpoints)]
    loads = [
        check
        for name in sorted(set(names))
        for offer in offers(name, registry)
        for check in checks(offer, registry)
        if check.clause in ("G01", "G02", "D01")
    ]
    skipped = [result for result in (check.run() for check in loads) if result.status == "skipped"]
    assert [result for result in skipped if "no shipped checkpoint" not in result.reason] == []


def test_clauses_are_numbered_once_and_say_what_they_ask() -> None:
    found = clauses()
    numbers = [name.split()[0] for name, _ in found]
    assert len(set(numbers)) == len(numbers)
    assert all(sentence.endswith(".") and "\n" not in sentence for _, sentence in found)
