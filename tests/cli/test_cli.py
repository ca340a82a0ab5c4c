"""The command line as a user meets it: whole processes, exit codes, one-line errors, JSON that parses."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gdbench.cli import COMMANDS, build_app
from gdbench.registry import load_registry
from gdbench.runs.store import open_run

ENVIRONMENT = {**os.environ, "XDG_DATA_HOME": "nowhere", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}

SLEEPY = """import time
from gdbench import MethodSpec, hookimpl

def sleep(generator, params, context):
    print('sleeping', flush=True)
    time.sleep(600)

@hookimpl
def gdbench_methods():
    yield MethodSpec('sleepy', 'sleeps', sleep)
"""


def gdbench(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gdbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, check=False)


OFFICIAL = ("--gan", "biggan", "--checkpoint", "biggan-deep-128")
OFFLINE_HINT = "or without --offline: gdbench checkpoint fetch biggan biggan-deep-128"
RUN = ("run", "--gan", "toy", "--method", "random", "--k", 4, "--tier", "smoke", "--metrics", "cost,diversity")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    result = gdbench(*RUN, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_a_run_shows_scores_folder_and_what_to_type_next(out: Path) -> None:
    shown = gdbench(*RUN, "--out", out).stdout
    for expected in ("rank_image", "alive_share", "directions.png", "gdbench measure", "gdbench leaderboard", f"{out}"):
        assert expected in shown


def test_json_of_run_and_show_is_the_record(out: Path) -> None:
    record = json.loads(gdbench(*RUN, "--out", out, "--json").stdout)
    assert record["status"] == "done"
    assert json.loads(gdbench("show", out / record["id"], "--json").stdout) == record


def test_measure_adds_a_metric(out: Path) -> None:
    (run,) = (folder for folder in out.iterdir() if (folder / "record.json").exists())
    result = gdbench("measure", run, "--metric", "factors", "--json")
    assert result.returncode == 0, result.stderr
    assert set(json.loads(result.stdout)["scores"]) == {"calibration", "cost", "diversity", "factors"}


def test_a_metrics_parameter_has_a_flag(out: Path) -> None:
    (run,) = (folder for folder in out.iterdir() if (folder / "record.json").exists())
    result = gdbench("measure", run, "--metric", "path", "--path-codes=3", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["metric_params"]["path"] == {"codes": 3}
    assert "No such option: --path-cods" in gdbench("measure", run, "--path-cods", 3).stderr
    assert "requires an argument" in gdbench("measure", run, "--path-codes").stderr


ANSWER = """
from dataclasses import dataclass

from gdbench import Column, MetricSpec, Scores, hookimpl

@dataclass(frozen=True)
class AnswerParams:
    the_value: float = 1.0

def measure(subject, params, context):
    return Scores({"answer": params.the_value})

@hookimpl
def gdbench_metrics():
    yield MetricSpec("answer", "what it is told", measure, (Column("answer", "told"),), AnswerParams)
"""


@pytest.mark.parametrize("form", [("--plugin", "answer.py"), ("--plugin=answer.py",)])
def test_a_metric_of_a_file_has_flags_too(form: tuple[str, ...], out: Path, tmp_path: Path) -> None:
    (run,) = (folder for folder in out.iterdir() if (folder / "record.json").exists())
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "answer.py").write_text(ANSWER)
    asked = ("--metric", "answer", "--answer-the-value", "42", "--json")
    result = gdbench("measure", "run", *form, *asked, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["scores"]["answer"]["answer"]["value"] == 42


def test_a_wrong_folder_leaves_a_finished_run_as_it_was(out: Path) -> None:
    (run,) = (folder for folder in out.iterdir() if (folder / "record.json").exists())
    before = json.loads((run / "record.json").read_text())
    result = gdbench("measure", run, "--metric", "saliency", "--saliency-data", out / "typo")
    assert result.returncode != 0
    assert f"saliency data: no such folder: {out / 'typo'}" in " ".join(result.stderr.split())
    after = json.loads((run / "record.json").read_text())
    assert (after["status"], after["scores"]) == ("done", before["scores"])
    assert gdbench("measure", run, "--metric", "cost").returncode == 0


@pytest.mark.parametrize("noun", ["all", "generators", "methods", "metrics", "domains", "checkpoints", "plugins"])
def test_every_list_is_a_table_and_json(noun: str) -> None:
    assert gdbench("list", noun).returncode == 0
    rows = json.loads(gdbench("list", noun, "--json").stdout)
    assert rows


def test_info_knows_everything_that_is_listed() -> None:
    listed = json.loads(gdbench("list", "all", "--json").stdout)
    names = {row["name"] for kind in ("generators", "methods", "metrics", "domains") for row in listed[kind]}
    assert {"toy", "random", "cost"} <= names
    for name in ("toy", "random", "cost"):
        assert json.loads(gdbench("info", name, "--json").stdout)[0]["name"] == name
    assert "parameters" in gdbench("info", "voynov").stdout


def test_methods_say_space_shape_supervision_and_tiers() -> None:
    listed = {row["name"]: row for row in json.loads(gdbench("list", "methods", "--json").stdout)["methods"]}
    voynov, (info,) = listed["voynov"], json.loads(gdbench("info", "voynov", "--json").stdout)
    assert voynov["shape"] == info["shape"] == "linear (projective, fc: curved)"
    assert (voynov["space"], voynov["supervision"], voynov["tiers"]) == ("any", "none", "quick, standard, paper")
    assert (info["space"], info["supervision"], list(info["tiers"])) == ("any", "none", ["quick", "standard", "paper"])
    assert listed["local-basis"]["space"] == "w"
    assert {name for name, row in listed.items() if row["shape"] == "curved"} == {"local-basis", "warpedganspace"}
    assert listed["oracle-linear"]["supervision"] == "labels of an oracle"
    assert listed["steerability"]["supervision"] == "edits of images"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "--gan", "toi", "--method", "random"), 2, "unknown generator 'toi': did you mean 'toy'?"),
        (("run", "--gan", "toy", "--method", "randon"), 2, "unknown method 'randon': did you mean 'random'?"),
        (("run", "--gan", "toy", "--method", "random", "--metrics", "costs"), 2, "did you mean 'cost'?"),
        (("run", "--gan", "toy", "--method", "random", "-p", "steps"), 2, "expected name=value"),
        (("run", "--gan", "toy", "--method", "voynov", "-p", "stps=3"), 2, "did you mean 'steps'?"),
        (("run", "--gan", "toy", "--method", "voynov", "-p", "steps=many"), 2, "steps: got 'many'"),
        (("run", "--gan", "toy", "--method", "random", "--tier", "slow"), 2, "tier"),
        (("run", "--gan", "toy", "--method", "random", "--device", "cuda:99"), 2, "--device cuda:99: "),
        (("run", "--gan", "toy", "--method", "random", "--max-memory", "much"), 2, "max_memory: got 'much', expected"),
        (("run", *OFFICIAL, "--method", "random", "--offline"), 3, f"on a machine with a network, {OFFLINE_HINT}"),
        (("show", "nowhere"), 5, "nowhere: no record.json"),
        (("leaderboard", "nowhere"), 2, "nowhere: holds no run"),
        (("measure", "nowhere"), 2, "no run folder in nowhere"),
        (("bench", "nowhere.yaml"), 2, "nowhere.yaml"),
        (("info", "voynof"), 2, "did you mean 'voynov'?"),
        (("check-plugin", "nothing"), 2, "nothing"),
    ],
)
def test_bad_input_is_one_line_and_a_documented_code(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    result = gdbench(*arguments, cwd=tmp_path)
    assert message in result.stdout + result.stderr
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert (result.stdout == "") == (code != 1)  # a run that failed after it began is reported as a run


def test_a_suite_names_every_missing_file_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: s\ntier: smoke\nseeds: [0, 1]\nmethods: [random]\ngenerators:\n- toy\n"
        "- {gan: stylegan2, checkpoint: ffhq-config-f}\n- {gan: biggan, checkpoint: biggan-deep-128}\n"
    )
    result = gdbench("bench", "s.yaml", "--offline", cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    for name in ("stylegan2 ffhq-config-f", "biggan biggan-deep-128"):
        assert result.stderr.count(f"gdbench checkpoint fetch {name}") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_lists_show_domain_and_gates_of_the_checkpoints_that_are_here() -> None:
    listed = json.loads(gdbench("list", "all", "--json").stdout)
    (toy,) = (row for row in listed["generators"] if row["name"] == "toy")
    (small,) = (row for row in listed["generators"] if row["name"] == "sngan")
    assert (toy["checkpoints"], toy["official"]) == ([], 0)
    assert small["checkpoints"][0] == "scenes32 (scenes, preview)"
    assert small["official"] > 5
    here = [row for row in listed["checkpoints"] if row["where"] == "here" and row["status"]]
    assert {row["generator"] for row in here} >= {"sngan", "stylegan2"}
    for row in here:
        assert ("shape_agreement 0." in row["gates"]) == (row["domain"] == "scenes")
        assert ("(missed)" in row["gates"]) == (row["status"] == "preview")
    lacks = {row["checkpoint"]: row["lacks"] for row in here if row["generator"] == "sngan"}
    assert lacks["scenes32"] == lacks["scenes32-d64"] == "shape plus"
    assert lacks["scenes32-d32"] == "texture, shape plus"
    assert listed["checkpoints"] == json.loads(gdbench("checkpoint", "list", "--json").stdout)


def test_help_is_cheap_and_its_example_comes_from_the_registry() -> None:
    assert "--gan" in gdbench("run", "--help").stdout
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert gdbench("--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 1.0  # 0.3 s on a quiet machine


def test_a_suite_runs_in_children_skips_what_is_done_and_makes_a_leaderboard(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(
        "name: tiny\ntier: smoke\nk: 4\nseeds: [0, 1]\nmetrics: [cost, diversity]\n"
        "generators: [toy]\nmethods: [random, dead]\n"
    )
    first = gdbench("bench", suite, "--out", tmp_path / "out", "--threads", 1, "--changed")
    assert first.returncode == 0, first.stderr
    second = gdbench("bench", suite, "--out", tmp_path / "out", "--threads", 1, "--changed")
    assert "4 cells, 4 of them done already" in second.stderr
    assert (tmp_path / "out" / "tiny" / "leaderboard.md").read_text().startswith("# Leaderboard")
    # A changed checkout makes records of changed code, which boards refuse without --changed.
    shown = gdbench("leaderboard", tmp_path / "out", "--suite", suite, "--changed", "--json")
    (board,) = json.loads(shown.stdout)["boards"]
    assert {(row["method"], entry["n"], entry["expected"]) for row in board["rows"] for entry in row["entries"]} == {
        ("random", 2, 2),
        ("dead", 2, 2),
    }


def test_two_suites_share_a_pool_in_which_each_run_lies_once(tmp_path: Path) -> None:
    text = "name: {}\ntier: smoke\nk: 4\nseeds: [0]\nmetrics: [cost]\ngenerators: [toy]\nmethods: [{}]\n"
    for name, methods in (("first", "random"), ("second", "random, dead")):
        (tmp_path / f"{name}.yaml").write_text(text.format(name, methods))
    pool = tmp_path / "results" / "runs"
    pool.parent.mkdir()
    assert gdbench("bench", "first.yaml", "--changed", cwd=tmp_path).returncode == 0
    board = json.loads(gdbench("leaderboard", "--suite", "second.yaml", "--json", cwd=tmp_path).stdout)
    assert board["notes"][0] == "suite second: 1 of 2 runs are there; missing: toy/none (z) x dead, seed 0, K 4"
    second = gdbench("bench", "second.yaml", cwd=tmp_path)
    assert "2 cells, 1 of them done already" in second.stderr
    ids = {path.parent.name for path in pool.glob("toy-*/done")}
    assert len(ids) == 2
    assert not list(pool.glob("leaderboard*"))
    for name, methods in (("first", {"random"}), ("second", {"random", "dead"})):
        asked = ("leaderboard", "--suite", f"{name}.yaml", "--changed")  # the checkout may be changed
        assert gdbench(*asked, "--write", cwd=tmp_path).returncode == 0
        board = json.loads((tmp_path / "results" / name / "leaderboard.json").read_text())
        assert {row["method"] for row in board["boards"][0]["rows"]} == methods
        assert {run for row in board["boards"][0]["rows"] for run in row["runs"]} <= ids
        assert gdbench(*asked, "--check", cwd=tmp_path).returncode == 0
    (run,) = pool.glob("toy-none-dead-*")
    assert "strips.webp" in gdbench("show", run).stdout
    listed = json.loads(gdbench("list", "runs", "--folder", "results/runs", "--json", cwd=tmp_path).stdout)["runs"]
    assert {row["run"] for row in listed} == ids


def test_runs_that_are_left_off_the_leaderboard_are_told_by_the_exit_code(tmp_path: Path) -> None:
    """A run of the suite whose code was changed, and one that lost its end and that the suite asks for no longer."""
    text = "name: s\ntier: smoke\nk: 4\nseeds: [0, 1]\nmetrics: [cost]\ngenerators: [toy]\nmethods: [{}]\n"
    (tmp_path / "s.yaml").write_text(text.format("random"))
    bench = ("bench", "s.yaml", "--out", "out")
    assert gdbench(*bench, "--changed", cwd=tmp_path).returncode == 0
    first, second = sorted((tmp_path / "out").glob("toy-*"))
    for run, changed in ((first, False), (second, True)):
        with open_run(run.parent, run.name) as folder:
            record = folder.read()
            folder.write(replace(record, environment={**record.environment, "changed": changed}))
    for command in (bench, ("leaderboard", "out", "--suite", "s.yaml")):
        done = gdbench(*command, cwd=tmp_path)
        assert done.returncode == 5, done.stderr
        assert "1 of the runs in out are of changed code, so they are not counted; --changed counts them" in done.stderr
        assert gdbench(*command, "--changed", cwd=tmp_path).returncode == 0
    (first / "done").unlink()
    (tmp_path / "s.yaml").write_text(text.format("random").replace("[0, 1]", "[1]"))
    lost = gdbench("leaderboard", "out", "--changed", cwd=tmp_path)
    assert (lost.returncode, "1 of the runs in out cannot be believed" in lost.stderr) == (5, True)
    again = gdbench(*bench, "--changed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr  # a run that the suite does not ask for is none of its own


def test_a_suite_leaves_a_finished_run_whose_new_metric_fails_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text(ANSWER.replace("return", "raise ValueError('no answer')\n    return"))
    suite = "name: s\ntier: smoke\nk: 4\nseeds: [0]\nmetrics: [cost{}]\ngenerators: [toy]\nmethods: [random]\n"
    records = []
    for more, code in (("", 0), (", answer", 1)):
        (tmp_path / "s.yaml").write_text(suite.format(more))
        result = gdbench("bench", "s.yaml", "--plugin", "answer.py", "--out", "out", "--changed", cwd=tmp_path)
        assert result.returncode == code, result.stderr
        (file,) = (tmp_path / "out").glob("*/record.json")
        records.append(json.loads(file.read_text()))
    assert [record["status"] for record in records] == ["done", "done"]
    assert records[0]["scores"] == records[1]["scores"]


def test_a_child_that_hangs_costs_its_own_cell(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLEEPY)
    (tmp_path / "s.yaml").write_text(
        "name: s\ntier: smoke\nk: 4\nseeds: [0]\nmetrics: [cost]\ngenerators: [toy]\nmethods: [random, sleepy]\n"
    )
    result = gdbench("bench", "s.yaml", "--plugin", "slow.py", "--timeout", 40, "--out", "out", cwd=tmp_path)
    assert result.returncode == 1
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("record.json")]
    states = {record["cell"]["method"]: record["status"] for record in records}
    assert states == {"random": "done", "sleepy": "timeout"}


def test_ctrl_c_leaves_a_resumable_run_and_code_130(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLEEPY)
    command = [sys.executable, "-m", "gdbench", "run", "--gan", "toy", "--method", "sleepy", "--plugin", "slow.py"]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        child = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
        )
        assert child.stderr is not None
        assert child.stderr.readline() == b"sleeping\n"  # what a plugin prints is a message
        time.sleep(0.2)
        child.send_signal(number)
        _, stderr = child.communicate(timeout=60)
        assert child.returncode == code
        assert b"Traceback" not in stderr
        (record,) = (tmp_path / "runs").rglob("record.json")
        assert json.loads(record.read_text())["status"] == "interrupted"


def test_a_bench_that_is_terminated_ends_its_children(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLEEPY)
    (tmp_path / "s.yaml").write_text("name: s\ntier: smoke\nk: 4\nseeds: [0]\ngenerators: [toy]\nmethods: [sleepy]\n")
    command = [sys.executable, "-m", "gdbench", "bench", "s.yaml", "--plugin", "slow.py", "--out", "out"]
    child = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not any("sleeping" in log.read_text() for log in tmp_path.glob("out/logs/*.log")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    child.send_signal(signal.SIGTERM)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 143
    assert b"Traceback" not in stderr
    (record,) = (tmp_path / "out").rglob("record.json")
    assert json.loads(record.read_text())["status"] == "interrupted"


def test_what_to_type_next_keeps_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "answer.py").write_text(ANSWER)
    asked = ("--metrics", "answer", "--plugin", "answer.py", "--space", "z", "-p", "whiten=false")
    shown = gdbench("run", "--gan", "toy", "--method", "random", "--k", 3, "--tier", "smoke", *asked, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    commands = [line.partition(":")[2].strip() for line in shown.stdout.splitlines() if line.startswith("next:")]
    assert len(commands) == 4
    assert "--space z --k 3 --seed 0 --tier smoke" in commands[0]
    for command in commands:
        assert command.endswith("--plugin answer.py")
    assert gdbench(*shlex.split(commands[-1])[1:], cwd=tmp_path).returncode == 0


def test_several_measured_runs_are_one_document(out: Path) -> None:
    assert gdbench(*RUN, "--seed", 1, "--out", out).returncode == 0
    records = json.loads(gdbench("measure", out, "--metric", "cost", "--json").stdout)
    assert [record["cell"]["seed"] for record in records] in ([0, 1], [1, 0])


def test_one_command_is_prepared_by_its_own_module_and_keeps_its_name() -> None:
    registry = load_registry()
    for commands in COMMANDS.values():
        group = get_command(build_app(registry, commands[0]))
        assert list(group.commands) == list(commands)  # type: ignore[attr-defined]
        assert CliRunner().invoke(build_app(registry, commands[0]), [commands[0], "--help"]).exit_code == 0
    everything = set(get_command(build_app(registry)).commands)  # type: ignore[attr-defined]
    assert everything > {command for commands in COMMANDS.values() for command in commands}
    assert set(get_command(build_app(registry, "zoo")).commands) == everything  # type: ignore[attr-defined]
