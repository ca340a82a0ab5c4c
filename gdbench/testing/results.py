"""A check, what it can say, how its outcome is kept as a value, and the verdict on all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gdbench.errors import MissingFile
from gdbench.places import at, raised_at

STATUSES = ("passed", "failed", "expected", "skipped")


class Failed(AssertionError):
    """The plugin breaks the clause; the message says what was expected and what was found."""


class Skipped(Exception):
    """The clause cannot be checked here, or does not concern this plugin; the message says why."""


class Unusable(Exception):
    """The plugin fails before the clause is reached; another clause says so."""


def expect(condition: bool, message: str) -> None:
    """Raise Failed with ``message`` unless ``condition`` holds."""
    if not condition:
        raise Failed(message)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    status: ``failed`` and ``skipped`` come with a reason; ``expected`` is a failure that was announced.
    """

    subject: str
    clause: str
    name: str
    status: Literal["passed", "failed", "skipped", "expected"]
    reason: str = ""


@dataclass(frozen=True)
class Check:
    """One clause, bound to what it checks. subject: kind and name. case: the argument of ``function``."""

    subject: str
    clause: str
    function: Callable[[Any], None]
    case: Any

    @property
    def name(self) -> str:
        """The function's name, by which failures are announced."""
        return self.function.__name__

    def _place(self, error: BaseException) -> str:
        """File and line of the plugin that ``error`` is about: where it was raised, or what was called."""
        offer = getattr(self.case, "offer", None)
        if offer is None:
            return ""
        return raised_at(error, offer.provider.package) or offer.place

    def run(self, expected_failure: str | None = None) -> CheckResult:
        """The outcome; whatever the plugin raises is one. An announced failure that does not come is a failure."""
        from gdbench.testing.isolation import restored

        result = CheckResult(self.subject, self.clause, self.name, "passed")
        try:
            with restored():
                self.function(self.case)
        except (Skipped, Unusable, MissingFile) as reason:
            return replace(result, status="skipped", reason=str(reason))
        except Failed as broken:
            result = replace(result, status="failed", reason=at(str(broken), self._place(broken)))
        except Exception as error:
            result = replace(result, status="failed", reason=at(f"raised {describe(error)}", self._place(error)))
        if expected_failure is None:
            return result
        if result.status == "failed":
            return replace(result, status="expected", reason=expected_failure)
        return replace(result, status="failed", reason=f"passes, but was announced to fail: {expected_failure}")


def describe(error: BaseException) -> str:
    """Type and text of an error, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def verdict(name: str, results: Sequence[CheckResult]) -> str:
    """One line: whether ``name`` keeps the contract, which clauses it breaks, and how many were checked."""
    broken = dict.fromkeys(result.clause for result in results if result.status == "failed")
    counts: Counter[str] = Counter(result.status for result in results)
    numbers = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    if broken:
        return f"{name} breaks the contract in {', '.join(broken)}: {numbers}"
    if not counts["passed"]:
        return f"{name}: nothing could be checked here: {numbers or 'no checks'}"
    return f"{name} keeps the contract: {numbers}"
