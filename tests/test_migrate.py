"""The migration of runs of protocol 1: directions and their history are kept, everything else is measured anew."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gdbench.context import SILENT
from gdbench.record import RunRecord
from gdbench.registry import Registry, load_registry
from gdbench.runs.pipeline import execute, remeasure
from gdbench.runs.planning import Plan, plan
from gdbench.runs.recorded import is_complete
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder, find_runs

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "migrate.py"
OLD = "toy-none-random-s0-0ld0ld00"
ENVIRONMENT = {"commit": "abc", "changed": False}
KEPT = ("directions.safetensors", "directions.json", "discovery.json")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("migrate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["migrate"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def fresh(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, RunRecord, Path]:
    """The run as it is made today."""
    request = RunRequest("toy", "random", k=4, tier="smoke", metrics=("diversity",), out=tmp_path_factory.mktemp("out"))
    made = plan(request, registry)
    record, folder = execute(made, registry, SILENT)
    return made, record, folder.path


@pytest.fixture
def results(tmp_path: Path, fresh: tuple[Plan, RunRecord, Path]) -> Path:
    """The same run as protocol 1 left it in two suites."""
    for suite in ("one", "two"):
        old_run(tmp_path / "results" / suite, fresh)
    return tmp_path / "results"


def old_run(suite: Path, fresh: tuple[Plan, RunRecord, Path], **changes: Any) -> None:
    _, record, source = fresh
    folder = suite / OLD
    folder.mkdir(parents=True)
    for name in (*KEPT, "calibration.json", "calibration.safetensors"):
        shutil.copy(source / name, folder / name)
    (folder / "tables").mkdir()
    (folder / "tables" / "diversity.parquet").write_bytes(b"of protocol 1")
    versions = {name: version for name, version in record.versions.items() if name not in ("discovery", "evaluation")}
    own = {"versions": {**versions, "protocol": 1}, "environment": ENVIRONMENT, "date": "2001-01-01", "files": {}}
    RunFolder(folder).write(replace(record, id=OLD, **{**own, **changes}))


def outcomes(script: ModuleType, results: Path, registry: Registry) -> list[tuple[str, str, str]]:
    return [(one.folder.parent.name, one.kind, one.reason) for one in script.migrate(results, registry)]


def test_a_run_goes_once_into_the_pool_with_its_history_and_without_scores(
    script: ModuleType, results: Path, registry: Registry, fresh: tuple[Plan, RunRecord, Path]
) -> None:
    made, today, source = fresh
    assert outcomes(script, results, registry) == [("one", "migrated", ""), ("two", "there already", "")]
    (folder,) = find_runs(results / "runs")
    assert folder.path.name == made.id
    kept = folder.read(verify=True)
    assert (kept.id, kept.migrated_from, kept.date, kept.environment) == (made.id, OLD, "2001-01-01", ENVIRONMENT)
    assert kept.costs == {"discover": today.costs["discover"]}
    assert (dict(kept.scores), dict(kept.metric_params)) == ({}, {})
    assert sorted(kept.files) == sorted(KEPT)
    assert (folder.path / KEPT[0]).read_bytes() == (source / KEPT[0]).read_bytes()
    assert not is_complete(replace(made, request=replace(made.request, out=results / "runs")))


def test_what_was_migrated_is_measured_and_not_discovered(
    script: ModuleType, results: Path, registry: Registry, fresh: tuple[Plan, RunRecord, Path]
) -> None:
    outcomes(script, results, registry)
    (folder,) = find_runs(results / "runs")
    spec = registry.method("random").spec
    never = replace(spec, discover=lambda *_: pytest.fail("discovered anew"))
    offer = replace(registry.method("random"), spec=never)
    record = remeasure(
        folder, ["diversity"], replace(registry, methods={**registry.methods, "random": offer}), SILENT, device="cpu"
    )
    assert record.status == "done"
    assert record.scores == fresh[1].scores
    assert record.versions == fresh[1].versions
    assert (record.migrated_from, record.date, record.environment) == (OLD, "2001-01-01", ENVIRONMENT)


def test_a_second_call_changes_nothing_not_even_a_measured_run(
    script: ModuleType, results: Path, registry: Registry
) -> None:
    outcomes(script, results, registry)
    (folder,) = find_runs(results / "runs")
    remeasure(folder, ["diversity"], registry, SILENT)
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert {kind for _, kind, _ in outcomes(script, results, registry)} == {"there already"}
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"environment": {"changed": True}}, "made by changed code"),
        ({"status": "failed", "reason": "boom"}, "failed: boom"),
        ({"checkpoint_sha256": "0" * 64}, "weights 000000000000, now"),
        ({"versions": {"protocol": 1, "generator": 1, "method": 0, "domain": 1}}, "method version 0, now"),
        ({"versions": {"protocol": 1, "generator": 0, "method": 1, "domain": 1}}, "generator version 0, now"),
        ({"versions": {"protocol": 0, "generator": 1, "method": 1, "domain": 1}}, "of protocol 0"),
    ],
)
def test_what_cannot_be_carried_over_is_left_with_its_reason(
    script: ModuleType,
    tmp_path: Path,
    registry: Registry,
    fresh: tuple[Plan, RunRecord, Path],
    changes: dict[str, Any],
    reason: str,
) -> None:
    old_run(tmp_path / "results" / "one", fresh, **changes)
    ((_, kind, why),) = outcomes(script, tmp_path / "results", registry)
    assert kind == "left"
    assert reason in why
    assert not find_runs(tmp_path / "results" / "runs")


@pytest.mark.parametrize("name", [*KEPT, "done"])
def test_what_is_not_all_here_is_left(script: ModuleType, results: Path, registry: Registry, name: str) -> None:
    (results / "one" / OLD / name).unlink()
    first, second = outcomes(script, results, registry)
    assert first[:2] == ("one", "left")
    assert first[2] == ("not finished" if name == "done" else f"{name} is not here")
    assert second[:2] == ("two", "migrated")


def test_each_old_run_is_told_in_a_line_and_all_are_counted(
    script: ModuleType, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(results)]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"migrated: one/{OLD} -> toy-none-random-s0-")
    assert second.startswith(f"there already: two/{OLD} -> toy-none-random-s0-")
    assert last == "1 migrated, 1 there already, 0 left"
