"""The pool: each run lies there once; a suite's leaderboard takes those that it asks for and names the missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gdbench import UsageError
from gdbench.context import SILENT
from gdbench.record import RunRecord
from gdbench.registry import Registry, load_registry
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.pool import board_folder, is_complete_in_pool, pool_of, suite_runs
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder
from gdbench.runs.suite import Suite, read_suite

SUITE = """
name: demo
k: 4
seeds: [0, 1]
metrics: [cost]
generators: [toy]
methods: [random, {method: voynov, seeds: [0]}]
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def read(tmp_path: Path, text: str = SUITE) -> Suite:
    (tmp_path / "demo.yaml").write_text(text)
    return read_suite(tmp_path / "demo.yaml")


@pytest.fixture(scope="module")
def finished(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, RunFolder]:
    """A run of random directions at the tier quick, K = 4."""
    out = tmp_path_factory.mktemp("runs")
    request = RunRequest("toy", "random", k=4, tier="quick", metrics=("cost",), out=out)
    return execute(plan(request, registry), registry, SILENT)


def kept(pool: Path, record: RunRecord) -> RunRecord:
    """Record a run in ``pool`` without its other files."""
    (pool / record.id).mkdir(parents=True)
    return RunFolder(pool / record.id).write(replace(record, files={}))


def test_a_suite_takes_its_runs_in_its_order_and_names_the_missing(
    tmp_path: Path, registry: Registry, finished: tuple[RunRecord, RunFolder]
) -> None:
    record, _ = finished
    pool = tmp_path / "runs"
    kept(pool, record)
    others = {"other-k": {"k": 8}, "other-space": {"space": "w"}, "other-seed": {"seed": 7}, "params": {}}
    for name, changes in others.items():
        changes = changes or {"generator_params": {"psi": 0.3}}
        kept(pool, replace(record, id=f"toy-none-random-s0-{name}", cell=replace(record.cell, **changes)))
    (pool / "toy-none-voynov-s9-unreadable").mkdir()
    (pool / "toy-none-voynov-s9-unreadable" / "record.json").write_text("{")
    found = suite_runs(read(tmp_path), registry, pool)
    assert found.ids == (record.id,)
    assert found.records[0].scores == record.scores
    assert found.problems == ()
    assert found.note == (
        "suite demo: 1 of 3 runs are there; "
        "missing: toy/none (z) x random, seed 1, K 4; toy/none (z) x voynov, seed 0, K 4"
    )
    assert suite_runs(replace(read(tmp_path), requests=read(tmp_path).requests[:1]), registry, pool).note.endswith(
        "1 of 1 runs are there"
    )


@pytest.mark.parametrize("kind", ["discovery", "evaluation", "generator", "method"])
def test_runs_of_other_versions_are_missing(
    tmp_path: Path, registry: Registry, finished: tuple[RunRecord, RunFolder], kind: str
) -> None:
    record, _ = finished
    kept(tmp_path, replace(record, versions={**record.versions, kind: 0}))
    assert suite_runs(read(tmp_path), registry, tmp_path).ids == ()


def test_a_run_that_is_asked_for_and_cannot_be_believed_is_told(
    tmp_path: Path, registry: Registry, finished: tuple[RunRecord, RunFolder]
) -> None:
    kept(tmp_path, finished[0])
    (tmp_path / finished[0].id / "done").unlink()
    found = suite_runs(read(tmp_path), registry, tmp_path)
    assert (len(found.records), len(found.missing)) == (0, 3)
    assert "not finished" in found.problems[0]


def test_a_method_of_the_same_parameters_in_two_tiers_is_run_once_for_both(
    tmp_path: Path, registry: Registry, finished: tuple[RunRecord, RunFolder]
) -> None:
    record, folder = finished
    standard = read(tmp_path, SUITE + "tier: standard\n")
    assert suite_runs(standard, registry, folder.path.parent).ids == (record.id,)
    made = plan(replace(standard.requests[0], out=folder.path.parent), registry)
    assert made.id != record.id
    assert is_complete_in_pool(made, registry)
    assert not is_complete_in_pool(plan(replace(made.request, metrics=("path",)), registry), registry)
    assert not is_complete_in_pool(plan(replace(made.request, tier="smoke"), registry), registry)
    own = replace(record, id="toy-none-random-s0-own", cell=replace(record.cell, tier="standard"))
    for one in (record, own):
        kept(tmp_path / "both", one)
    assert suite_runs(standard, registry, tmp_path / "both").ids == (own.id,)
    learned = replace(record, id="toy-none-voynov-s0-x", cell=replace(record.cell, method="voynov"))
    kept(tmp_path / "learned", learned)  # voynov trains longer at standard
    assert suite_runs(standard, registry, tmp_path / "learned").ids == ()


def test_runs_of_other_weights_under_the_name_of_shipped_ones_are_missing(tmp_path: Path, registry: Registry) -> None:
    """No weights are loaded: the card says their hash."""
    suite = read(tmp_path, SUITE.replace("[toy]", "[stylegan2]").replace("[0, 1]", "[0]"))
    made = plan(suite.requests[0], registry)
    for weights, expected in ((made.checkpoint.sha256, (made.id,)), ("0" * 64, ())):
        pool = tmp_path / weights
        versions = {**made.versions, "metric:cost": 1}
        kept(pool, RunRecord(made.id, made.cell, "done", checkpoint_sha256=weights, versions=versions))
        assert suite_runs(suite, registry, pool).ids == expected


def test_where_runs_and_leaderboards_of_a_suite_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, apart = read(tmp_path), read(tmp_path, SUITE + "runs: apart\n")
    monkeypatch.chdir(tmp_path)
    assert (pool_of(suite), pool_of(apart)) == (Path("runs"), Path("apart"))
    assert board_folder(pool_of(suite), suite) == Path("runs/demo")
    (tmp_path / "results").mkdir()
    assert (pool_of(suite), pool_of(apart)) == (Path("results/runs"), Path("results/apart"))
    assert board_folder(pool_of(suite), suite) == Path("results/demo")
    with pytest.raises(UsageError, match=r"demo\.yaml: runs: got '\.\./x'"):
        read(tmp_path, SUITE + "runs: ../x\n")
