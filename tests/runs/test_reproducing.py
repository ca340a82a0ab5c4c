"""Reproducing: what was made honestly is made again, what was edited is found, and which claim held is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from gdbench import IntegrityError, LinearDirections, MethodSpec, UsageError, normal
from gdbench.cli import build_app
from gdbench.context import SILENT, Context
from gdbench.record import RunRecord, Score
from gdbench.registry import Offer, Registry, load_registry
from gdbench.runs import reproducing
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.reproducing import Verdict, reproduce
from gdbench.runs.request import RunRequest
from gdbench.runs.store import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def pool(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for seed in range(3):
        run(out, registry, seed=seed)
    torch.set_num_threads(before)
    return out


@pytest.fixture
def folder(pool: Path, tmp_path: Path) -> RunFolder:
    """A copy of the run of seed 0 beside those of two other seeds."""
    shutil.copytree(pool, tmp_path / "runs")
    return RunFolder(next((tmp_path / "runs").glob("toy-none-random-s0-*")))


def run(out: Path, registry: Registry, method: str = "random", seed: int = 0) -> RunFolder:
    metrics = ("cost", "diversity")
    asked = RunRequest("toy", method, k=4, tier="smoke", out=out, metrics=metrics, seed=seed, threads=1)
    return execute(plan(asked, registry), registry, SILENT)[1]


def edited(folder: RunFolder, change: Callable[[RunRecord], RunRecord]) -> RunFolder:
    """The run with another record, whose hashes are right: what verify cannot find."""
    RunFolder(folder.path).write(change(folder.read()))
    return folder


def scored(metric: str, column: str, score: Score) -> Callable[[RunRecord], RunRecord]:
    return lambda old: replace(old, scores={**old.scores, metric: {**old.scores[metric], column: score}})


def other_directions(folder: RunFolder) -> None:
    """Directions of another draw under the old record, with right hashes."""
    LinearDirections(normal(torch_stream(), 4, 64), "z").save(folder.path)
    folder.write(folder.read())


def torch_stream() -> Any:
    from gdbench.streams import Stream

    return Stream(99, "other").at()


def elsewhere(old: RunRecord) -> RunRecord:
    return replace(old, environment={**old.environment, "cpu": "another processor"})


def test_from_directions_every_number_agrees(folder: RunFolder, registry: Registry) -> None:
    verdict = reproduce(folder, registry, "directions", SILENT)
    assert (verdict.held, verdict.differences, verdict.unlike) == (True, (), ())
    record = folder.read()
    assert verdict.numbers == sum(len(columns) for columns in record.scores.values())
    assert f"{verdict.numbers} of {verdict.numbers}, {verdict.numbers} to the last digit" in str(verdict)


def test_from_scratch_the_directions_are_the_same_bit_for_bit(folder: RunFolder, registry: Registry) -> None:
    verdict = reproduce(folder, registry, "scratch", SILENT)
    assert verdict.held is True
    assert "directions bit for bit" in str(verdict)
    seconds = {"cost.cpu_seconds", "cost.wall_seconds", "cost.peak_memory"}  # of the machine: not compared
    assert verdict.numbers == sum(len(columns) for columns in folder.read().scores.values()) - len(seconds)


@pytest.mark.parametrize("start", ["directions", "scratch"])
def test_a_number_that_nobody_measured_is_found(start: Any, folder: RunFolder, registry: Registry) -> None:
    edited(folder, scored("diversity", "rank_image", Score(9.0)))
    verdict = reproduce(folder, registry, start, SILENT)
    assert verdict.held is False
    assert [one.name for one in verdict.differences] == ["diversity.rank_image"]
    assert "recorded 9, here" in str(verdict.differences[0])


def test_differences_within_a_thousandth_are_none(folder: RunFolder, registry: Registry) -> None:
    old = folder.read().scores["diversity"]["rank_image"].value
    assert old is not None
    for factor, held in ((1 + 5e-4, True), (1 + 2e-3, False)):
        edited(folder, scored("diversity", "rank_image", Score(max(old, 1.0) * (factor - 1) + old)))
        assert reproduce(folder, registry, "directions", SILENT).held is held


def test_a_void_number_must_be_void_again(folder: RunFolder, registry: Registry) -> None:
    edited(folder, scored("diversity", "duplicates", Score(None, "too few")))
    verdict = reproduce(folder, registry, "directions", SILENT)
    assert [one.allowed for one in verdict.differences] == ["both void, or neither"]


def test_other_directions_are_found_on_the_same_kind_of_machine(folder: RunFolder, registry: Registry) -> None:
    other_directions(folder)
    verdict = reproduce(folder, registry, "scratch", SILENT)
    assert verdict.held is False
    assert [one.name for one in verdict.differences] == ["directions.safetensors"]


def test_elsewhere_the_spread_of_seeds_decides(folder: RunFolder, registry: Registry) -> None:
    other_directions(folder)
    edited(folder, elsewhere)
    verdict = reproduce(folder, registry, "scratch", SILENT)
    assert verdict.held is True
    assert "within 3 s.d. of seeds" in verdict.claim
    assert any("another processor" in one for one in verdict.unlike)
    edited(folder, scored("diversity", "rank_image", Score(1e3)))
    for other in folder.path.parent.glob("toy-*-s[12]-*"):
        edited(RunFolder(other), scored("diversity", "rank_image", Score(1e3)))
    far = reproduce(folder, registry, "scratch", SILENT)  # the seeds agree that it is far from what is measured
    assert far.held is False
    assert [one.name for one in far.differences] == ["diversity.rank_image"]


def test_the_spread_of_seeds_is_pooled_over_methods(pool: Path) -> None:
    record = RunFolder(next(pool.glob("toy-none-random-s0-*"))).read()
    alike, apart = (
        [replace(record, scores={"m": {"a": Score(v)}}) for v in values]
        for values in ((0.5, 0.5, 0.5), (0.4, 0.5, 0.6))
    )
    assert reproducing._spreads([alike]) == {"m.a": 0.0}
    pooled = (0.01 + 0.01) / (2 + 2)  # squares about the means 0.5 and 0.5, over the degrees of freedom
    assert reproducing._spreads([alike, apart])["m.a"] == pytest.approx(3 * pooled**0.5)


def test_without_other_seeds_nothing_is_said(folder: RunFolder, registry: Registry, tmp_path: Path) -> None:
    other_directions(folder)
    edited(folder, elsewhere)
    alone = tmp_path / "alone" / folder.path.name
    alone.parent.mkdir()
    folder.path.rename(alone)
    verdict = reproduce(RunFolder(alone), registry, "scratch", SILENT)
    assert verdict.held is None
    assert "no other seeds" in str(verdict)


def test_what_made_a_run_must_be_installed(folder: RunFolder, registry: Registry) -> None:
    offer = registry.metric("diversity")
    newer = replace(offer, spec=replace(offer.spec, version=offer.spec.version + 1))
    with pytest.raises(UsageError, match=r"made with others than are installed \(diversity\)"):
        reproduce(folder, replace(registry, metrics={**registry.metrics, "diversity": newer}), "directions", SILENT)
    method: Any = registry.method("random")
    later = Offer(replace(method.spec, version=method.spec.version + 1), method.provider)
    with pytest.raises(UsageError, match=r"made with others than are installed \(method 2\)"):
        reproduce(folder, replace(registry, methods={**registry.methods, "random": later}), "directions", SILENT)


def test_a_method_that_is_not_deterministic_is_found(registry: Registry, tmp_path: Path) -> None:
    calls = []

    def discover(generator: Any, params: Any, context: Context) -> LinearDirections:
        calls.append(1)
        return LinearDirections(normal(context.stream("discover").at(len(calls)), context.k, 64), context.space)

    offer = Offer(MethodSpec("mine", "a test", discover), registry.method("random").provider)
    mine = replace(registry, methods={**registry.methods, "mine": offer})
    verdict = reproduce(run(tmp_path, mine, "mine"), mine, "scratch", SILENT)
    assert verdict.held is False
    assert "on the same kind of processor" in verdict.claim


def test_a_run_that_fails_here_is_not_reproduced(registry: Registry, tmp_path: Path) -> None:
    calls = []

    def discover(generator: Any, params: Any, context: Context) -> LinearDirections:
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("not again")
        return LinearDirections(normal(context.stream("discover").at(), context.k, 64), context.space)

    offer = Offer(MethodSpec("mine", "a test", discover), registry.method("random").provider)
    mine = replace(registry, methods={**registry.methods, "mine": offer})
    verdict = reproduce(run(tmp_path, mine, "mine"), mine, "scratch", SILENT)
    assert verdict.held is False
    assert "not again" in verdict.claim


# The command


def gdbench(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(load_registry()), list(map(str, arguments)))


def test_the_command_exits_with_5_and_names_the_number(folder: RunFolder) -> None:
    before = sorted(folder.path.rglob("*"))
    good = gdbench("reproduce", folder.path)
    assert good.exit_code == 0, good.stderr
    assert "reproduced from directions: numbers agree to 0.001" in good.stdout
    assert sorted(folder.path.rglob("*")) == before
    edited(folder, scored("diversity", "rank_image", Score(9.0)))
    bad = gdbench("reproduce", folder.path, "--json")
    assert bad.exit_code == 5
    assert "diversity.rank_image: recorded 9, here" in bad.stderr
    (row,) = json.loads(bad.stdout)
    assert (row["held"], row["differences"][0]["recorded"]) == (False, "9")


def test_a_submission_holds_runs_their_company_and_the_proof(folder: RunFolder, tmp_path: Path) -> None:
    suite, tar = tmp_path / "mine.yaml", tmp_path / "mine.tar"
    suite.write_text("name: mine\n")
    done = gdbench("submit", folder.path, "--to", tar, "--with", suite)
    assert done.exit_code == 0, done.stderr
    done = gdbench("unpack", tar, "--out", tmp_path / "pool")
    assert done.exit_code == 0, done.stderr
    there = tmp_path / "pool" / folder.path.name
    assert (there / "record.json").read_bytes() == (folder.path / "record.json").read_bytes()
    company = tmp_path / "pool" / "mine"
    assert (company / "mine.yaml").read_text() == "name: mine\n"
    proof = json.loads((company / "proof.json").read_text())
    (run,) = proof["runs"].values()
    assert run["verdict"]["held"] is True
    assert run["record_sha256"] == (there / "done").read_text().strip()
    assert isinstance(gdbench("unpack", tar, "--out", tmp_path / "pool").exception, UsageError)  # its company is there


def test_a_run_that_cannot_be_made_again_is_not_submitted(folder: RunFolder, tmp_path: Path) -> None:
    edited(folder, scored("diversity", "rank_image", Score(9.0)))
    done = gdbench("submit", folder.path, "--to", tmp_path / "mine.tar")
    assert done.exit_code == 5
    assert "nothing was written" in done.stderr
    (folder.path / "tables.parquet").write_text("changed")
    assert isinstance(gdbench("submit", folder.path, "--to", tmp_path / "mine.tar").exception, IntegrityError)
    assert not (tmp_path / "mine.tar").exists()


def test_verdicts_say_in_a_line_what_held() -> None:
    assert str(Verdict("r", "scratch", None, "why", 0)) == "r: not judged from scratch: why"
