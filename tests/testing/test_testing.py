"""The runner of the checks: announced failures, reasons, and that no check leaves a trace of the plugin it ran."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gdbench.errors import MissingFile, UsageError
from gdbench.registry import load_registry
from gdbench.testing import Check, CheckResult, Failed, Skipped, run_checks, verdict
from gdbench.testing.isolation import observe
from gdbench.testing.results import Unusable
from gdbench.testing.runner import offers

LEAVING_TRACES = (
    "m15_threads",
    "d13_working_directory",
    "g19_environment",
    "s10_deterministic_mode",
    "m14_global_random",
)
BAD = Path(__file__).parents[1] / "bad_plugins"


def outcomes(name: str, **expected: str) -> dict[str, CheckResult]:
    registry = load_registry([BAD / f"{name}.py"])
    (offer,) = offers(name, registry)
    return {result.name: result for result in run_checks(offer, registry, expected_failures=expected)}


def test_an_announced_failure_is_expected_and_keeps_its_reason() -> None:
    result = outcomes("m02_one_too_many", check_method_returns_k_directions="known since March")
    assert result["check_method_returns_k_directions"].status == "expected"
    assert result["check_method_returns_k_directions"].reason == "known since March"


def test_an_announced_failure_that_does_not_come_is_a_failure() -> None:
    result = outcomes("m02_one_too_many", check_method_repeats="thought so")["check_method_repeats"]
    assert (result.status, result.reason) == ("failed", "passes, but was announced to fail: thought so")


def test_announcing_what_is_no_check_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'check_method_repeats'"):
        outcomes("m02_one_too_many", check_method_repeat="a typing error")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Failed("got 3"), "failed", "got 3"),
        (Skipped("no labels"), "skipped", "no labels"),
        (Unusable("load raised"), "skipped", "load raised"),
        (MissingFile("fetch it"), "skipped", "fetch it"),
        (ZeroDivisionError("by\nzero"), "failed", "raised ZeroDivisionError: by zero"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_check_raises_is_an_outcome(error: Exception, status: str, reason: str) -> None:
    def check_something(case: object) -> None:
        raise error

    assert Check("thing x", "X1", check_something, None).run() == CheckResult(
        "thing x",
        "X1",
        "check_something",
        status,
        reason,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        (["passed", "passed", "skipped"], "mine keeps the contract: 2 passed, 1 skipped"),
        (["passed", "failed", "failed"], "mine breaks the contract in M0: 1 passed, 2 failed"),
        (["passed", "expected"], "mine keeps the contract: 1 passed, 1 expected"),
        (["skipped"], "mine: nothing could be checked here: 1 skipped"),
        ([], "mine: nothing could be checked here: no checks"),
    ],
)
def test_the_checks_end_with_a_verdict(statuses: list[Any], line: str) -> None:
    assert verdict("mine", [CheckResult("method mine", "M0", "check", status) for status in statuses]) == line


@pytest.mark.parametrize(("name", "place"), [("m01_raises", ":7)"), ("m02_one_too_many", ":")])
def test_a_broken_clause_names_file_and_line(name: str, place: str) -> None:
    reasons = [result.reason for result in outcomes(name).values() if result.status == "failed"]
    assert all(f"({name}.py{place}" in reason for reason in reasons), reasons


def test_check_plugin_ends_with_the_verdict(tmp_path: Path) -> None:
    path = BAD / "m02_one_too_many.py"
    command = [sys.executable, "-m", "gdbench", "check-plugin", "m02_one_too_many", "--plugin", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("m02_one_too_many breaks the contract in M02: ")


def test_checks_put_global_state_back() -> None:
    before = (torch.get_num_threads(), os.getcwd(), dict(os.environ), torch.are_deterministic_algorithms_enabled())
    state = torch.get_rng_state()
    for name in (
        "m15_threads",
        "d13_working_directory",
        "g19_environment",
        "s10_deterministic_mode",
        "g18_global_random",
    ):
        outcomes(name)
    after = (torch.get_num_threads(), os.getcwd(), dict(os.environ), torch.are_deterministic_algorithms_enabled())
    assert before == after
    assert torch.equal(state, torch.get_rng_state())


def test_a_seed_that_is_read_secretly_is_noticed() -> None:
    """Drawing from a copy of the global generator leaves its state alone, and still depends on it."""

    def draws() -> float:
        with torch.random.fork_rng(devices=[]):
            return float(torch.rand(()))

    observed = observe(draws)
    assert observed.random == ()
    assert observed.uses_global_seed(lambda a, b: a == b)


def test_pytest_runs_one_test_for_each_clause_and_expects_what_was_announced(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(f"""
import pytest

@pytest.mark.gdbench_checks(
    "m02_one_too_many",
    plugins=[{str(BAD / "m02_one_too_many.py")!r}],
    expected_failures={{"check_method_returns_k_directions": "known"}},
)
def test_contract(gdbench_check):
    gdbench_check()
""")
    command = [sys.executable, "-m", "pytest", "-q", "-rx", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout
    assert "method-bad-M02-check_method_returns_k_directions" in done.stdout
