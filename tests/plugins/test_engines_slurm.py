"""The engine of SLURM, against fake commands that answer from files; its script, run by bash as SLURM would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from gdbench_engines.params import SlurmParams
from gdbench_engines.slurm import Slurm, lacking, start
from gdbench_engines.slurm_script import script

from gdbench import EngineSetup, GdbenchError, Job, JobState, Resources
from gdbench.context import SILENT

FAKE = """#!/bin/sh
case "$(basename "$0")" in
sbatch) [ -e refuse ] && { cat refuse >&2; exit 1; }
  n=$(cat count 2>/dev/null || echo 40); n=$((n + 1)); echo $n > count; cp "$2" "script-$n"; echo "$n;cluster" ;;
squeue) [ -e away ] && { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }; cat queue ;;
scontrol) if [ "$1" = show ]; then echo "MaxArraySize = 4"; else cat "job-$4" 2>/dev/null || exit 1; fi ;;
sacct) cat "acct" 2>/dev/null || { echo "Slurm accounting storage is disabled" >&2; exit 1; } ;;
scancel) echo "$@" >> cancelled ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "sacct", "scancel"):
        (commands / name).write_text(FAKE)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "queue").write_text("")
    return Cluster(tmp_path)


class Cluster:
    """What the fake commands know, and jobs to give them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def engine(self, at_once: int | None = None, **params: object) -> Slurm:
        given = SlurmParams(**{"lag": 0.0, **params})  # type: ignore[arg-type]
        return start(given, EngineSetup(self.folder / "engine", SILENT, at_once))

    def job(self, name: str, code: str = "pass", **needs: object) -> Job:
        made = Resources(**needs)  # type: ignore[arg-type]
        command = (sys.executable, "-c", code)
        return Job(name, command, json.dumps({"out": "x"}), self.folder / f"{name}.log", self.folder, (), made, name)

    def queue(self, **states: str) -> None:
        lines = (f"{name.removeprefix('j')} {state}" for name, state in states.items())
        (self.folder / "queue").write_text("".join(f"{line}\n" for line in lines))

    def options(self, number: int) -> Mapping[str, str]:
        text = (self.folder / f"script-{number}").read_text()
        return dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", text, re.MULTILINE))


def test_resources_and_settings_become_options_and_nothing_is_guessed(cluster: Cluster) -> None:
    engine = cluster.engine(at_once=2, before=("module load x",), options={"constraint": "a100", "requeue": False})
    engine.submit([cluster.job("a", cpus=3, gpus=1, memory="2GiB", time="90m")])
    options = cluster.options(41)
    assert options == {
        "job-name": "gdbench",
        "array": "0-0%2",
        "cpus-per-task": "3",
        "gres": "gpu:1",
        "mem": "2048M",
        "time": "91",
        "signal": "B:TERM@60",
        "open-mode": "append",
        "output": f"{cluster.folder}/engine/tasks/%A_%a.log",
        "constraint": "a100",
    }
    assert "\nmodule load x\n" in (cluster.folder / "script-41").read_text()
    cluster.engine(partition="p", account="q").submit([cluster.job("b")])
    assert {"partition": "p", "account": "q", "requeue": ""}.items() <= cluster.options(42).items()
    assert "time" not in cluster.options(42)


def test_arrays_are_split_at_the_limit_and_by_what_cells_need(cluster: Cluster) -> None:
    engine = cluster.engine(bundle=2)
    engine.submit([*(cluster.job(f"a{n}", time=60) for n in range(8)), cluster.job("b", cpus=2)])
    assert [cluster.options(n)["array"] for n in (41, 42, 43)] == ["0-2", "0-0", "0-0"]
    assert [cluster.options(n).get("time") for n in (41, 42, 43)] == ["3", "3", None]  # two cells, and the warning
    assert {name: one.id for name, one in engine.known.items()} == {
        **{f"a{n}": f"41_{n // 2}" for n in range(6)},
        "a6": "42_0",
        "a7": "42_0",
        "b": "43_0",
    }


def test_the_same_command_finds_its_jobs_again(cluster: Cluster) -> None:
    cluster.engine().submit([cluster.job("a"), cluster.job("b"), cluster.job("c")])
    cluster.queue(j41_0="RUNNING", j41_1="PENDING", j41_2="COMPLETED", j7_0="RUNNING")
    (cluster.folder / "engine" / "ended" / "c").write_text("0")
    later = cluster.engine()
    assert later.states() == {
        "a": JobState("running", mark="a"),
        "b": JobState("waiting", mark="b"),
        "c": JobState("ended", 0, mark="c"),
    }
    later.forget("c")
    assert set(cluster.engine().states()) == {"a", "b"}
    assert later.close() == (
        "2 cells stay in the queue of SLURM; the same command collects them and submits the rest; to end them: "
        "scancel 41"
    )


@pytest.mark.parametrize(
    ("state", "facts", "expected"),
    [
        ("FAILED", "JobState=FAILED ExitCode=0:9", JobState("ended", -9, "SLURM job 41_0: FAILED", mark="a")),
        ("FAILED", "JobState=FAILED ExitCode=3:0", JobState("ended", 3, "SLURM job 41_0: FAILED", mark="a")),
        ("OUT_OF_MEMORY", "", JobState("ended", None, "SLURM job 41_0: OUT_OF_MEMORY", mark="a")),
        ("NODE_FAIL", "", JobState("ended", None, "SLURM job 41_0: NODE_FAIL", mark="a")),
        ("CANCELLED", "", JobState("ended", None, "SLURM job 41_0: CANCELLED", "interrupted", "a")),
        ("TIMEOUT", "", JobState("ended", None, "SLURM job 41_0: TIMEOUT", "timeout", "a")),
        (None, "", JobState("ended", None, "SLURM job 41_0: no longer in the queue", mark="a")),
    ],
)
def test_a_job_that_left_no_word_is_told_by_its_state(
    cluster: Cluster, state: str | None, facts: str, expected: JobState
) -> None:
    engine = cluster.engine()
    engine.submit([cluster.job("a")])
    cluster.queue(**({"j41_0": state} if state else {}))
    if facts:
        (cluster.folder / "job-41_0").write_text(f"JobId=8 {facts} Reason=x\n")
    engine.states()
    assert engine.states() == {"a": expected}


def test_sacct_is_asked_where_nothing_else_knows(cluster: Cluster) -> None:
    engine = cluster.engine()
    engine.submit([cluster.job("a")])
    (cluster.folder / "acct").write_text("CANCELLED by 0|0:15\n41_0.batch|0:15\n")
    engine.states()
    (state,) = engine.states().values()
    assert (state.code, state.status) == (-15, "interrupted")


def test_a_controller_that_is_away_for_a_while_ends_no_job(cluster: Cluster) -> None:
    engine = cluster.engine()
    engine.submit([cluster.job("a")])
    cluster.queue(j41_0="RUNNING")
    assert engine.states()["a"].phase == "running"
    (cluster.folder / "away").touch()
    assert engine.states()["a"].phase == "running"
    assert lacking() == "squeue: slurm_load_jobs error: Unable to contact slurm controller"


def test_the_last_words_of_a_job_may_come_late(cluster: Cluster) -> None:
    engine = cluster.engine(lag=60.0)
    engine.submit([cluster.job("a")])
    cluster.queue(j41_0="COMPLETED")
    assert engine.states()["a"].phase == "running"
    (cluster.folder / "engine" / "ended" / "a").write_text("0")
    assert engine.states()["a"].phase == "ended"


def test_a_refusal_is_one_line_in_the_words_of_sbatch(cluster: Cluster) -> None:
    (cluster.folder / "refuse").write_text("sbatch: error: x\nsbatch: error: Batch job submission failed: no account\n")
    with pytest.raises(GdbenchError, match=r"^sbatch: sbatch: error: Batch job submission failed: no account \(in "):
        cluster.engine().submit([cluster.job("a")])


def test_only_whole_tasks_are_cancelled(cluster: Cluster) -> None:
    engine = cluster.engine(bundle=2)
    engine.submit([cluster.job(name) for name in "abc"])
    engine.cancel(["a", "c", "nobody"])
    assert (cluster.folder / "cancelled").read_text() == "41_1\n"


# The script itself, run by bash as SLURM would


def run(cluster: Cluster, text: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "0"}
    return subprocess.Popen(["bash", "-c", text], env=environment, start_new_session=True)


def ended(cluster: Cluster) -> dict[str, str]:
    return {path.name: path.read_text() for path in (cluster.folder / "engine" / "ended").iterdir()}


def test_a_task_runs_its_cells_in_turn_and_repeats_none(cluster: Cluster) -> None:
    engine = cluster.engine(bundle=3)
    jobs = [cluster.job("a", "print(input())"), cluster.job("b", "raise SystemExit(3)"), cluster.job("c", "1/0")]
    engine.submit(jobs)
    text = (cluster.folder / "script-41").read_text()
    assert run(cluster, text).wait() == 0
    assert ended(cluster) == {"a": "0", "b": "3", "c": "1"}
    assert (cluster.folder / "a.log").read_text() == '{"out": "x"}\n'
    (cluster.folder / "engine" / "ended" / "b").unlink()
    assert run(cluster, text).wait() == 0  # requeued
    assert (cluster.folder / "a.log").read_text() == '{"out": "x"}\n'
    assert ended(cluster)["b"] == "3"


SAVES = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(143)); print(1, flush=True); time.sleep(60)"


@pytest.mark.parametrize(("limit", "told"), [("0", {"a": "timeout"}), ("9999", {})])
def test_the_warning_reaches_the_cell_which_saves(cluster: Cluster, limit: str, told: dict[str, str]) -> None:
    """At the end of its time a cell is told to be late; before, it was requeued or cancelled, and nothing is told."""
    engine = cluster.engine(bundle=2)
    engine.submit([cluster.job("a", SAVES, time=60), cluster.job("b", time=60)])
    text = script([[cluster.job("a", SAVES, time=60), cluster.job("b", time=60)]], SlurmParams(), engine.folder, None)
    task = run(cluster, re.sub(r'"60"', f'"{limit}"', text))
    while not (cluster.folder / "a.log").exists() or not (cluster.folder / "a.log").read_text():
        time.sleep(0.05)
    task.send_signal(signal.SIGTERM)
    assert task.wait(20) == 143
    assert ended(cluster) == told  # and b did not begin
