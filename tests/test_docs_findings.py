"""docs/findings.md and README's answer are what docs/findings.py computes from the committed records."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
POOL = ROOT / "results" / "runs"


@pytest.fixture(scope="module")
def findings() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        return importlib.import_module("findings")


def test_the_page_and_the_first_screen_say_what_the_records_say(findings: ModuleType) -> None:
    made, groups = findings.read(POOL)
    there = [group for group in groups if group.methods]
    assert findings.page(made, there, POOL) == (ROOT / "docs" / "findings.md").read_text(encoding="utf-8"), (
        "run: python docs/findings.py"
    )
    shown = [group for group in there if group.name in findings.SHOWN]
    assert findings.readme(shown) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_spaces_is_what_the_records_say(findings: ModuleType) -> None:
    page = (ROOT / "docs" / "bring-your-own-gan.md").read_text(encoding="utf-8")
    assert findings.spaces.table(findings.spaces.read(POOL)) in page, "run: python docs/spaces.py"
