"""Committed results: whole, current, small, reproducible. A leaderboard is what its records say and nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from gdbench_acceptance.judge import matrix
from gdbench_acceptance.page import markdown as page
from gdbench_acceptance.page import verdicts
from gdbench_acceptance.runs import read as runs_of

from gdbench.boards.exports import differences
from gdbench.boards.leaderboard import leaderboard_of
from gdbench.boards.rules import current_versions, rules_of
from gdbench.columns import columns_of
from gdbench.context import SILENT
from gdbench.record import DISCOVERY, EVALUATION
from gdbench.registry import Registry, load_registry
from gdbench.runs.measuring import missing_metrics
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan, request_of
from gdbench.runs.store import RunFolder, find_runs, read_records
from gdbench.runs.suite import read_suite

ROOT = Path(__file__).parent.parent
LARGEST = 1_500_000
"""Bytes of a run: warpedganspace keeps the support vectors of its fields, 1.2 MB at d = 128 and K = 32."""
SUITES = sorted(path.name for path in (ROOT / "results").iterdir() if (path / "leaderboard.json").exists())
REMEASURED = ("diversity", "factors")
OFFERS = ROOT / "plugins" / "gdbench_acceptance" / "offers.py"
ACCEPTANCE = ROOT / "results" / "acceptance"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry([OFFERS])


@pytest.mark.parametrize("suite", SUITES)
def test_every_record_is_whole_and_small(suite: str) -> None:
    folders = find_runs(ROOT / "results" / suite)
    records, problems = read_records(folders)
    assert problems == []
    assert records
    for folder in folders:
        tracked = [file for file in folder.path.rglob("*") if file.is_file() and file.suffix not in (".png", ".lock")]
        assert sum(file.stat().st_size for file in tracked) <= LARGEST, folder.path


def test_columns_that_failed_acceptance_say_so(registry: Registry) -> None:
    """Whatever suite or folder a leaderboard is of, they are shown and not ranked."""
    judged = json.loads((ACCEPTANCE / "acceptance.json").read_text())["refused"]
    declared = {
        f"{metric}.{column.name}": column.refused
        for metric, offer in registry.metrics.items()
        for column in offer.spec.columns
        if column.ranked
    }
    assert {name: why.removeprefix("acceptance: ") for name, why in declared.items()} == {
        name: judged[name] for name in declared
    }
    verdicts = rules_of(registry, columns_of(registry)).verdicts
    assert verdicts.refused["reconstruction", "kappa"] == "acceptance: dead directions fail: fails"


@pytest.mark.parametrize("suite", SUITES)
def test_every_record_has_the_versions_of_this_code(suite: str, registry: Registry) -> None:
    for folder in find_runs(ROOT / "results" / suite):
        record = folder.read()
        request = request_of(record, Path("unused"), sorted(record.metric_params))
        made = plan(replace(request, metric_params=record.metric_params), registry)
        assert (record.versions["discovery"], record.versions["evaluation"]) == (DISCOVERY, EVALUATION)
        assert made.id == record.id, "plugin versions, parameters or weights have changed: run the suite again"
        stale = [offer.spec.name for offer in missing_metrics(record, made.metrics, made.metric_params)]
        if not stale:
            continue
        assert not (folder.path / "directions.safetensors").exists(), f"gdbench measure {folder.path}"
        assert made.method_params.form == "fc", "too large to be kept; nothing else is measured no more"
        shown = leaderboard_of([record], columns_of(registry), registry, None).to_rows()
        assert all(row["mean"] is None for row in shown if row["metric"] in stale)


@pytest.mark.parametrize("suite", SUITES)
def test_the_leaderboard_is_what_the_records_say(suite: str, registry: Registry) -> None:
    folder = ROOT / "results" / suite
    asked = read_suite(ROOT / "benchmarks" / f"{suite}.yaml")
    records, _ = read_records(find_runs(folder))
    assert differences(leaderboard_of(records, columns_of(registry), registry, asked), folder) == []


@pytest.mark.skipif(not (ACCEPTANCE / "acceptance.json").exists(), reason="the acceptance suite has not been run")
def test_the_verdicts_are_what_the_records_say_in_the_versions_of_this_code(registry: Registry) -> None:
    runs = runs_of(ACCEPTANCE)
    cells = matrix(runs)
    assert json.loads((ACCEPTANCE / "acceptance.json").read_text()) == verdicts(runs, cells)
    assert (ACCEPTANCE / "acceptance.md").read_text() == page(runs, cells)
    installed = current_versions(registry)
    assert {name: installed["metric", name] for name in runs.versions} == runs.versions


def test_a_committed_run_measures_again_to_the_same_numbers(tmp_path: Path, registry: Registry) -> None:
    """Calibration, diversity and factors of one run, from its saved directions.

    Tolerance: 2 % of the value, 0.02 at least; convolutions differ in the last digits between processors, and a median
    or a threshold near a tie moves by one code.
    """
    source = next(iter(sorted((ROOT / "results" / "scenes-quick").glob("sngan-*-random-s0-*"))))
    record = RunFolder(source).read(verify=True)
    copy = tmp_path / record.id
    copy.mkdir()
    for name in ("directions.safetensors", "directions.json", "discovery.json"):
        shutil.copy(source / name, copy / name)
    made = plan(request_of(record, tmp_path, REMEASURED), registry)
    again, _ = execute(made, registry, SILENT)
    assert again.status == "done", again.reason
    for metric in ("calibration", *REMEASURED):
        for column, score in again.scores[metric].items():
            old = record.scores[metric][column]
            assert score.void == old.void
            if old.value is not None:
                assert score.value == pytest.approx(old.value, rel=0.02, abs=0.02), f"{metric}.{column}"
