"""The acceptance matrix on the toy generator, and that a broken metric fails its cell."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gdbench_metrics.diversity
import pytest
import torch
from gdbench_acceptance.judge import COLUMNS, TESTS, Cell, matrix
from gdbench_acceptance.lenses import KINDS, correlation, judged, noise
from gdbench_acceptance.page import refusal, write
from gdbench_acceptance.params import STEPS
from gdbench_acceptance.runs import Measured, Runs, read
from gdbench_metrics import factor_gates

from gdbench import Domain, Subject, UsageError, sha256
from gdbench.context import SILENT
from gdbench.registry import Registry, load_registry
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.suite import read_suite

ROOT = Path(__file__).parent.parent
OFFERS = ROOT / "plugins" / "gdbench_acceptance" / "offers.py"
TOY = """
name: acceptance
k: 8
seeds: [0]
metrics: [all]
metric_params:
  recovery: {samples: 1000}
  reconstruction: {steps: 240, test: 1024, leak_steps: 2, rate: 0.004}
  factors: {samples: 1000}
  path: {codes: 4}
  realism: {images: 250}
  naturalness: {initialisations: 1, steps: 24, codes: 48, real: 64, rate: 0.005}
  rca_paper: {steps: 40, test: 320}
  observational: {samples: 150}
  saliency: {widths: [6, 12, 12], steps: 40, batch: 16, pool: 128, codes: 16, test: 60, decay: 30, threshold: 0.85}
generators: [toy, toy-shuffled, toy-noisy]
methods:
  - {method: fixed-random, generators: [toy], seeds: [0, 1, 2]}
  - {method: scrambled, generators: [toy], seeds: [0, 1]}
  - {method: planted, generators: [toy], metrics: [reconstruction, factors, recovery, distinct]}
  - {method: oracle-linear, generators: [toy], metrics: [factors, recovery, saliency], params: {samples: 3000}}
  - {method: guided, generators: [toy-shuffled], metrics: [factors, recovery, saliency]}
  - {method: duplicated, generators: [toy], metrics: [reconstruction, diversity, distinct]}
  - {method: dead, generators: [toy], metrics: [reconstruction, factors, recovery, distinct, diversity, path]}
  - {method: half-dead, generators: [toy], metrics: [reconstruction, factors, recovery, distinct, diversity, path]}
  - {method: half-nearly-dead, generators: [toy], metrics: [factors, recovery, distinct, diversity, path]}
  - {method: bent, generators: [toy], metrics: [path, cost]}
  - {method: swapped-by-code, generators: [toy], metrics: [naturalness]}
  - {method: degrading, generators: [toy-noisy], metrics: [realism]}
"""
SOURCES = ("planted", "oracle-linear", "fixed-random")


def lenses(folder: Path) -> str:
    """The suite of the lenses, on the directions that the suite above has found."""
    found = {method: next(folder.glob(f"toy-*-{method}-s0-*")) for method in SOURCES}
    lines = ["name: lenses", "k: 8", "metrics: [recovery]", "metric_params: {recovery: {samples: 1000}}"]
    lines += ["generators: [toy]", "methods:"]
    lines += [f"  - {{method: replayed, params: {{source: {path}}}, seeds: [0, 1, 2]}}" for path in found.values()]
    steps = [(kind, step) for kind in (*KINDS, "turned") for step in range(STEPS + 1) if step or kind == KINDS[0]]
    entry = "  - {{method: ladder, params: {{source: {}, kind: {}, step: {}}}, seeds: [0]}}"
    return "\n".join(lines + [entry.format(found["planted"], kind, step) for kind, step in steps])


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry([OFFERS])


def run(text: str, folder: Path, registry: Registry) -> Path:
    (folder / "suite.yaml").write_text(text)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for request in read_suite(folder / "suite.yaml").requests:
        record, _ = execute(plan(replace(request, out=folder), registry), registry, SILENT)
        assert record.status == "done", f"{record.id}: {record.reason}"
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    known: dict[tuple[str, int, int], dict[str, float]] = {}
    original = factor_gates.measured

    def once(subject: Subject, domain: Domain, samples: int) -> dict[str, float]:
        """A generator without weights has no fingerprint, so that every run would measure its gates again."""
        key = (domain.name, subject.generator.dim(subject.space), samples)
        if key not in known:
            known[key] = original(subject, domain, samples)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factor_gates, "measured", once)
        made = run(TOY, tmp_path_factory.mktemp("acceptance"), registry)
        return run(lenses(made), made, registry)


@pytest.fixture(scope="module")
def cells(folder: Path) -> dict[tuple[str, str], Cell]:
    return {(cell.column, cell.test): cell for cell in matrix(read(folder))}


@pytest.mark.slow
@pytest.mark.parametrize(("column", "test"), [(column, test.name) for test in TESTS for column in test.columns])
def test_the_metric_is_accepted_on_the_toy(cells: dict[tuple[str, str], Cell], column: str, test: str) -> None:
    assert cells[column, test].verdict == "passes", cells[column, test]


def test_the_toy_matrix_is_written_and_refuses_what_is_not_measured(folder: Path) -> None:
    runs = read(folder)
    cells = matrix(runs)
    write(folder, runs, cells)
    data = json.loads((folder / "acceptance.json").read_text())
    assert data["refused"] == dict.fromkeys(COLUMNS, "")
    assert 0 < data["least"]["recovery.F1"] < 0.2
    assert data["versions"]["saliency"] >= 1
    page = (folder / "acceptance.md").read_text()
    assert "FAILS" not in page.split("## Numbers")[0].replace("**FAILS**", "FAILS")
    without = Runs(tuple(run for run in runs.measured if run.method != "bent"), runs.versions)
    assert refusal(matrix(without), "path.straightness") == "a bent path is worse: not measured"
    assert "not measured" in refusal(matrix(without), "cost.images")


BROKEN = {
    ("reconstruction.kappa", "random above duplicated"): ("duplicated", 1.0),
    ("reconstruction.kappa", "planted directions reach the ceiling"): ("planted", 0.9),
    ("reconstruction.kappa", "dead directions fail"): ("half-dead", 0.999),
    ("recovery.F1", "supervised above random"): ("oracle-linear", 0.0),
    ("recovery.recall", "shuffled truth is about zero"): ("guided", 0.3),
    ("recovery.precision", "dead directions fail"): ("half-nearly-dead", 0.99),
    ("factors.disentanglement", "dead directions fail"): ("dead", 0.2),
    ("factors.disentanglement", "shuffled truth is about zero"): ("guided", 0.95),
    ("factors.completeness", "dead directions fail"): ("half-dead", 0.15),
    ("factors.completeness", "shuffled truth is about zero"): ("guided", 0.95),
    ("saliency.IoU", "shuffled truth is about zero"): ("guided", 0.6),
    ("naturalness.naturalness", "shuffled truth is about zero"): ("swapped-by-code", 0.5),
    ("realism.kid_30", "degraded images are worse"): ("degrading", 0.0),
    ("path.straightness", "a bent path is worse"): ("bent", 1.0),
    ("cost.images", "counts equal a hand count"): ("bent", 47.0),
    ("diversity.rank_image", "sign, order and length change nothing"): ("scrambled", 1.0),
}


@pytest.mark.parametrize(("column", "test"), BROKEN)
def test_a_number_of_a_broken_metric_fails_its_cell(folder: Path, column: str, test: str) -> None:
    method, value = BROKEN[column, test]
    runs = read(folder)
    spoilt = [
        replace(run, values={**run.values, column: value}) if run.method == method and column in run.values else run
        for run in runs.measured
    ]
    found = {(cell.column, cell.test): cell for cell in matrix(Runs(tuple(spoilt), runs.versions))}
    assert found[column, test].verdict == "fails"
    assert f"{test}: fails" in refusal(tuple(found.values()), column)


@pytest.mark.parametrize(
    ("test", "method", "spoil"),
    [
        ("copies are not above different ones", "ladder", lambda run: 1 - run.values["recovery.F1"]),
        ("lens: ladders go down", "ladder", lambda run: 1 - run.values["recovery.F1"]),
        ("lens: methods differ by more than seeds", "replayed", lambda run: 0.1 * run.seed),
    ],
)
def test_a_column_that_runs_backwards_or_at_random_fails_its_lens(
    folder: Path, test: str, method: str, spoil: Callable[[Measured], float]
) -> None:
    column, runs = "recovery.F1", read(folder)
    spoilt = [
        replace(run, values={**run.values, column: spoil(run)}) if run.method == method else run
        for run in runs.measured
    ]
    found = {(cell.column, cell.test): cell for cell in matrix(Runs(tuple(spoilt), runs.versions))}
    assert found[column, test].verdict == "fails"


def test_a_ladder_is_judged_beyond_the_least_difference() -> None:
    assert judged("dead", (0.5, 0.4, 0.3, 0.2, 0.1), 0.02).valid
    assert judged("dead", (0.5, 0.4, 0.3, 0.31, 0.1), 0.02).valid  # a rise of .01 is a tie
    assert judged("dead", (0.5, 0.4, 0.3, 0.31, 0.1), 0.02).correlation == pytest.approx(0.9747, abs=1e-4)
    clear = judged("dead", (0.5, 0.4, 0.3, 0.35, 0.1), 0.02)
    assert clear.rises == pytest.approx(0.05)
    assert not clear.valid
    assert not judged("dead", (0.3, 0.3, 0.3, 0.3, 0.3), 0.02).valid  # a column that sees nothing


def test_noise_and_intraclass_correlation_are_those_of_the_textbook() -> None:
    """Shrout and Fleiss 1979, table 2 and 3: six targets, four judges, ICC(1, 1) = .17."""
    table = [(9, 2, 5, 8), (6, 1, 3, 2), (8, 4, 6, 8), (7, 1, 2, 6), (10, 5, 6, 9), (6, 2, 4, 7)]
    assert correlation(table) == pytest.approx(0.17, abs=0.005)
    assert noise(table) == pytest.approx(6.26**0.5, abs=0.005)


@pytest.mark.parametrize(
    ("shuffled", "supervised", "verdict"),
    [
        (0.0036, 0.0655, "passes"),
        (0.0655, 0.0655, "fails"),  # the metric ignores the shuffling, where even true directions score little
        (0.0, 0.0, "cannot tell"),
        (0.0, 0.0025, "cannot tell"),
        (0.3, 0.0, "fails"),
        (None, 0.0655, "passes"),
        (0.0, None, "not measured"),
    ],
)
def test_shuffled_truth_is_compared_with_the_true_one(
    shuffled: float | None, supervised: float | None, verdict: str
) -> None:
    """Numbers of the size that scenes give; test and retest differ by .001 * sqrt(2)."""
    column = "factors.disentanglement"
    numbers = [
        ("sngan", "fixed-random", 0.042),
        ("sngan", "fixed-random", 0.044),
        ("sngan", "oracle-linear", supervised),
        ("sngan-shuffled", "guided", shuffled),
    ]
    runs = [Measured(gan, method, 0, {column: value}, {column: "a gate"}) for gan, method, value in numbers]
    cells = matrix(Runs(tuple(runs), {}))
    (found,) = (cell for cell in cells if (cell.column, cell.test) == (column, "shuffled truth is about zero"))
    assert found.verdict == verdict
    assert (f"{found.test}: {verdict}" in refusal(cells, column)) == (verdict != "passes")


def test_a_metric_that_forgets_the_dead_is_not_accepted(
    folder: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken in the code: diversity counts every direction as one of its own, alive or not, alike or not."""
    monkeypatch.setattr(gdbench_metrics.diversity, "gram", lambda moved, alive: torch.eye(moved.shape[1]).double())
    kept = "method: (duplicated|dead|half-dead),"
    lines = [line for line in TOY.splitlines() if "- {method" not in line or re.search(kept, line)]
    text = re.sub(r"metrics: \[recon.*\]", "metrics: [diversity]", "\n".join(lines))
    broken = read(run(text, tmp_path, registry)).measured
    (as_many,) = {one.values["diversity.rank_image"] for one in broken}
    kept_runs = [one for one in read(folder).measured if one.method not in ("duplicated", "dead", "half-dead")]
    every = [replace(one, values={**one.values, "diversity.rank_image": as_many}) for one in kept_runs]
    cells = matrix(Runs((*every, *broken), {}))
    reason = refusal(cells, "diversity.rank_image")
    assert "random above duplicated: fails" in reason
    assert "dead directions fail: fails" in reason


def test_runs_of_two_versions_are_not_judged(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run"):
        read(tmp_path)
    sources = [path.parent for path in sorted(folder.glob("*-fixed-random-*/record.json"))][:2]
    for number, source in enumerate(sources):
        shutil.copytree(source, tmp_path / source.name)
        path = tmp_path / source.name / "record.json"
        record = json.loads(path.read_text())
        record["versions"]["metric:cost"] += number
        path.write_text(json.dumps(record))
        (path.parent / "done").write_text(sha256(path) + "\n")
    with pytest.raises(UsageError, match="cost was measured in versions"):
        read(tmp_path)


def test_the_committed_suite_can_be_run(registry: Registry) -> None:
    asked = read_suite(ROOT / "benchmarks" / "acceptance.yaml")
    plans = [plan(request, registry) for request in asked.requests]
    assert [made.id for made in plans if made.incompatible] == []
    assert {made.request.method for made in plans} >= {"fixed-random", "scrambled", "planted", "guided", "degrading"}
