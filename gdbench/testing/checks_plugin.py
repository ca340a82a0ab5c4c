"""Clauses P: what every plugin keeps, whatever it offers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from gdbench.errors import GdbenchError
from gdbench.params import as_plain, build
from gdbench.testing.cases import PluginCase
from gdbench.testing.results import Check, Skipped, expect

HEAVY = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "scipy", "sklearn")


def checks(subject: str, case: PluginCase) -> Iterator[Check]:
    """The checks of any offer. P01, that the plugin loads, is what the registry found out."""
    yield Check(subject, "P02", check_plugin_import_is_free, case)
    yield Check(subject, "P03", check_plugin_parameters_are_valid, case)


def check_plugin_import_is_free(case: PluginCase) -> None:
    """Importing the plugin imports none of torch, numpy, pandas, matplotlib, scipy, sklearn: a list costs nothing."""
    modules = [plugin.module for plugin in case.registry.plugins if plugin.provider == case.offer.provider]
    if not modules or not modules[0]:
        raise Skipped("a single file may import what it needs")
    code = f"import sys, json, {modules[0]}; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    expect(done.returncode == 0, f"importing {modules[0]} alone failed: {done.stderr.strip()[-300:]}")
    heavy = json.loads(done.stdout.splitlines()[-1])
    expect(not heavy, f"importing {modules[0]} imports {', '.join(heavy)}: import them where they are used")


def check_plugin_parameters_are_valid(case: PluginCase) -> None:
    """Default, smoke and tier parameters are valid, and survive being written to a record and read back."""
    spec: Any = case.offer.spec
    if not hasattr(spec, "params"):
        raise Skipped("this kind has no parameters")
    sets = {"defaults": {}, "smoke": spec.smoke, **getattr(spec, "tiers", {})}
    for name, values in sets.items():
        try:
            params = build(spec.params, values, where=name)
            expect(build(spec.params, as_plain(params), where=name) == params, f"{name}: not the same after a record")
        except GdbenchError as error:
            expect(False, str(error))
