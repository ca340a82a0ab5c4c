"""docs/findings.md and README's answer are what docs/findings.py computes from the committed records."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def findings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("findings", ROOT / "docs" / "findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["findings"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_page_and_the_first_screen_say_what_the_records_say(findings: ModuleType) -> None:
    made, groups = findings.read(ROOT / "results" / "runs")
    there = [group for group in groups if group.methods]
    assert findings.page(made, there) == (ROOT / "docs" / "findings.md").read_text(encoding="utf-8"), (
        "run: python docs/findings.py"
    )
    shown = [group for group in there if group.name in findings.SHOWN]
    assert " ".join(findings.front(shown)) in (ROOT / "README.md").read_text(encoding="utf-8")
