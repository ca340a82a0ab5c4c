"""Every clause of the contract has a plugin that breaks it, and is caught by that check and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbench.registry import load_registry
from gdbench.testing import checks, run_checks
from gdbench.testing.runner import offers

BAD = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
PROVEN_ELSEWHERE = {"P01", "P02"}
"""Plugins that do not load, and imports of an installed package: tests/core/test_registry.py."""


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_plugin_fails_exactly_its_clause(path: Path) -> None:
    registry = load_registry([path])
    (offer,) = offers(path.stem, registry)
    failed = {result.clause: result.reason for result in run_checks(offer, registry) if result.status == "failed"}
    assert set(failed) == {path.stem[:3].upper()}, failed


def test_every_clause_has_a_bad_plugin() -> None:
    clauses = set()
    for path in BAD:
        registry = load_registry([path])
        (offer,) = offers(path.stem, registry)
        clauses |= {check.clause for check in checks(offer, registry)}
    assert clauses - PROVEN_ELSEWHERE == {path.stem[:3].upper() for path in BAD}
