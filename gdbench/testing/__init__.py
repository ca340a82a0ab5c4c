"""The contract of plugins as checks: for plugin authors, `gdbench check-plugin`, and the project's own tests.

A check is a plain function with a numbered clause and a one-line docstring. With pytest::

    @pytest.mark.gdbench_checks("NAME")
    def test_contract(gdbench_check):
        gdbench_check()
"""

from __future__ import annotations

from gdbench.testing.results import Check, CheckResult, Failed, Skipped, verdict
from gdbench.testing.runner import check_plugin, checks, clauses, run_checks

__all__ = ["Check", "CheckResult", "Failed", "Skipped", "check_plugin", "checks", "clauses", "run_checks", "verdict"]
