"""pytest support for plugin authors: ``@pytest.mark.gdbench_checks(NAME, ...)`` runs one test for each clause.

pytest imports this file wherever gdbench is installed, before coverage starts: it imports nothing heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gdbench.testing.results import Check

MARK = "gdbench_checks(*names, plugins=(), expected_failures={}): run the contract checks of these offers"


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", MARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check of the offers that the mark names."""
    mark = metafunc.definition.get_closest_marker("gdbench_checks")
    if mark is None:
        return
    expected = mark.kwargs.get("expected_failures", {})
    checks = _checks(mark.args, mark.kwargs.get("plugins", ()))
    metafunc.parametrize("gdbench_check", [_parameter(check, expected) for check in checks], indirect=True)


@pytest.fixture
def gdbench_check(request: pytest.FixtureRequest) -> _Runner:
    """A call without arguments that runs one check, and fails or skips with its reason."""
    return _Runner(request.param)


class _Runner:
    def __init__(self, check: Check) -> None:
        self._check = check

    def __call__(self) -> None:
        result = self._check.run()
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "failed":
            pytest.fail(f"{result.clause} {self._check.function.__doc__}\n{result.reason}", pytrace=False)


def _checks(names: tuple[str, ...], plugins: tuple[str, ...]) -> list[Check]:
    from gdbench.registry import load_registry
    from gdbench.testing.runner import checks, offers

    registry = load_registry([Path(plugin) for plugin in plugins])
    return [check for name in names for offer in offers(name, registry) for check in checks(offer, registry)]


def _parameter(check: Check, expected: dict[str, str]) -> pytest.ParameterSet:
    marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []
    return pytest.param(check, id=f"{check.subject.replace(' ', '-')}-{check.clause}-{check.name}", marks=marks)
