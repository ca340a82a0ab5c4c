"""The targets of the Makefile: what CI calls, and that every test belongs to one of two targets."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
(TARGETS,) = (line.split()[1:] for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY"))


def planned(target: str, folder: Path) -> str:
    """What make would do for a target in an environment that is set up, without doing it."""
    stamp = folder / ".gdbench-installed"
    stamp.touch()
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    done = subprocess.run(
        [make, "-n", target, f"VENV={folder}"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned_without_setting_up_again(target: str, tmp_path: Path) -> None:
    commands = planned(target, tmp_path)
    assert commands.strip()
    assert "pip install" not in commands


def test_a_test_is_run_by_one_of_two_targets(tmp_path: Path) -> None:
    selection = re.compile(r"""/bin/pytest -m ("[^"]*"|\S+) """)
    chosen = {target: selection.findall(planned(target, tmp_path)) for target in ("test", "test-slow")}
    assert chosen == {"test": ['"not slow"'], "test-slow": ["slow"]}


def test_make_test_checks_lint_and_types_first_and_prints_the_slowest(tmp_path: Path) -> None:
    commands = planned("test", tmp_path)
    places = [commands.index(command) for command in ("ruff check", "ruff format", "mypy", "/bin/pytest")]
    assert places == sorted(places)
    assert "--durations=10" in commands


def test_an_empty_environment_is_set_up_first(tmp_path: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    command = [make, "-n", "test", f"VENV={tmp_path / 'none'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.index("pip install") < done.stdout.index("/bin/pytest")


def test_ci_runs_make_test_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]


@pytest.mark.parametrize("target", [target for target in TARGETS if target.startswith(("test", "check", "cov"))])
def test_contributing_names_the_targets_of_checks(target: str) -> None:
    assert f"`make {target}`" in (ROOT / "CONTRIBUTING.md").read_text()


def test_a_test_that_hangs_is_ended_with_the_place_where_it_stands(pytestconfig: pytest.Config) -> None:
    """Before pytest-timeout ends a test, faulthandler has printed every thread."""
    limit = float(pytestconfig.getini("timeout"))
    assert 0 < float(pytestconfig.getini("faulthandler_timeout")) < limit <= 600
