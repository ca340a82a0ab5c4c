"""What README and docs say is run: the blocks of a page, in one fresh folder; generated pages are current."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gdbench.errors import EXIT_CODES, IntegrityError
from gdbench.runs.environment import git_state

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(console|python)( no-run)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
BIN = Path(sys.executable).parent
CHANGED = git_state(ROOT / "gdbench").get("changed", False)
"""Leaderboards tell runs of changed code by their exit code, and leave them off."""
ELSEWHERE = "writing-plugins.md"
"""Its examples are files of tests/third_party, which are run there."""


def blocks(page: Path, run: bool) -> list[tuple[str, str]]:
    return [(kind, text) for kind, flag, text in BLOCK.findall(page.read_text()) if run is not bool(flag)]


def lines(page: Path, run: bool) -> list[str]:
    texts = [text for kind, text in blocks(page, run) if kind == "console"]
    return [line[2:] for text in texts for line in text.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != ELSEWHERE and blocks(page, run=True)], ids=lambda page: page.name
)
def test_examples_of_a_page_run_in_order_in_one_folder(page: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    fine = (0, IntegrityError.exit_code) if CHANGED else (0,)
    for kind, text in blocks(page, run=True):
        commands = (
            [[sys.executable, "-c", text]]
            if kind == "python"
            else [["bash", "-c", line[2:]] for line in text.splitlines() if line.startswith("$ ")]
        )
        for command in commands:
            result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert result.returncode in fine, f"{page.name}: {command[-1]}\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_take_too_long_to_run_at_least_exist(page: Path) -> None:
    for line in lines(page, run=False):
        words = shlex.split(line, comments=True)
        assert words[0] in ("gdbench", "make"), line
        typed = re.sub(r"--plugin \S+", "", " ".join(words[1:])).split() if words[0] == "gdbench" else []
        command = [sys.executable, "-m", "gdbench", *typed, "--help"]  # an unknown command or option is refused first
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{line}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", ["cli", "contract", "zoo"])
def test_generated_pages_are_current(name: str) -> None:
    call = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); import generate; sys.stdout.write(generate.{name}())"
    )
    made = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs" / f"{name}.md").read_text(), "run: python docs/generate.py"


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    assert all(str(code) in page for code in EXIT_CODES)
