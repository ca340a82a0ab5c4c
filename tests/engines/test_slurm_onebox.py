"""Two real nodes of SLURM in this machine: cells that are done, killed, cancelled, requeued and done already, and a
node that is taken away.

``python tests/engines/test_slurm_onebox.py`` writes what happened to results/engines/slurm.txt.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import onebox  # noqa: E402
from waits import SLOW, SUITE  # noqa: E402

TRANSCRIPT = ROOT / "results" / "engines" / "slurm.txt"
PATIENCE = 600.0


class Session:
    """A bench on the cluster in a folder, and the lines that tell what happened."""

    def __init__(self, box: onebox.OneBox, folder: Path) -> None:
        self.box, self.folder, self.lines = box, folder, list[str]()
        self.suite, self.plugin, self.out = folder / "suite.yaml", folder / "waits.py", folder / "runs"
        self.suite.write_text(SUITE)
        self.plugin.write_text(SLOW)
        self.go = folder / "go"

    def say(self, *lines: str) -> None:
        for line in lines:
            print(line, flush=True)
            self.lines.append(line)

    def bench(self, *more: str, engine: str = "slurm") -> tuple[int, str]:
        """Exit code of a bench and what it said, without what changes from one time to the next."""
        settings = ("-p", "poll=1", "-p", "lag=2") if engine == "slurm" else ()
        command = [sys.executable, "-m", "gdbench", "bench", str(self.suite), "--out", str(self.out)]
        command += ["--plugin", str(self.plugin), "--engine", engine, "--threads", "1", "--changed", *settings, *more]
        environment = {**os.environ, **self.box.environment, "GDBENCH_TEST_GO": str(self.go)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
        said = [line for line in done.stderr.splitlines() if re.match(r"slurm-trial|toy-|\d+ cells stay", line)]
        shown = " ".join(more)
        self.say(f"$ gdbench bench suite.yaml --engine {engine} {shown}".rstrip())
        self.say(*(f"  {cleaned(line)}" for line in said), f"  exit code {done.returncode}")
        return done.returncode, done.stderr

    def job_of(self, seed: int) -> str:
        """The id of the task that runs a cell."""
        (path,) = (self.out / ".engines" / "slurm" / "jobs").glob(f"toy-none-waits-s{seed}-*.json")
        known = json.loads(path.read_text())
        return f"{known['array']}_{known['task']}"

    def queue(self) -> dict[str, str]:
        text = self.box.call("squeue", "-h", "--array", "--states=all", "--format=%F_%K %T")
        return dict(line.split() for line in text.splitlines() if len(line.split()) == 2)

    def until(self, happened: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < end, f"{what}: {self.queue()}"
            time.sleep(0.5)

    def waits(self, seed: int) -> bool:
        """Whether a cell's method has begun and waits."""
        return (self.folder / f"go.{seed}").exists()

    def records(self) -> Counter[str]:
        from gdbench.runs.store import find_runs, read_records

        records, problems = read_records(find_runs(self.out))
        assert problems == []
        return Counter(record.status for record in records)


def cleaned(line: str) -> str:
    line = re.sub(r"; see \S+", "; see its log", line)
    return re.sub(r" in -?\d+ s", "", re.sub(r"-[0-9a-f]{8}\b", "", line))


def trial(box: onebox.OneBox, folder: Path) -> Session:
    """The whole story."""
    one = Session(box, folder)
    one.say(f"SLURM {box.call('sinfo', '--version').split()[-1]}, Python {platform.python_version()}, two nodes")
    one.say("", "Six cells of toy at smoke; those of the method waits wait until they are let go.")
    assert one.bench("--submit-only")[0] == 0
    one.until(lambda: one.waits(0) and one.waits(1), "two cells run")
    one.say(f"  in the queue: {counted(one.queue().values())}", "", "One worker is killed with signal 9.")
    kill_worker(one, 0)
    one.until(lambda: one.waits(2), "the third cell runs")
    one.say("One job is requeued (scontrol requeue): its cell saves, waits in the queue and begins again.")
    box.call("scontrol", "requeue", one.job_of(1))
    (folder / "go.1").unlink()
    one.say("One job is cancelled (scancel).")
    box.call("scancel", one.job_of(2))
    one.until(lambda: one.waits(1), "the requeued cell runs again")
    one.say("All others are let go; the same command collects what is done.", "")
    one.go.touch()
    code, said = one.bench()
    assert code == 1
    assert "killed by signal 9" in said
    assert "interrupted" in said
    one.say(
        f"  records: {counted(one.records().elements())}", "", "Once more: what failed and was cancelled runs again."
    )
    assert one.bench()[0] == 0
    one.say(f"  records: {counted(one.records().elements())}", "", "Once more: everything is there.")
    code, said = one.bench()
    assert code == 0
    assert "6 cells, 6 of them done already" in said
    return one


def node_lost(one: Session) -> None:
    """A node goes away in mid-run: SLURM runs its cell on the other one."""
    one.say("", "Another folder; the node that runs a cell is taken away (its slurmd ends, it is set down).")
    one.out, one.go = one.folder / "more", one.folder / "go-more"
    for path in one.folder.glob("go*"):
        path.unlink()
    assert one.bench("--submit-only", "--only", "waits-s0")[0] == 0
    one.until(lambda: (one.folder / "go-more.0").exists(), "the cell runs")
    job = one.job_of(0)
    node = one.box.call("squeue", "-h", "-j", job, "-o", "%N").strip()
    other = {"n1": "n2", "n2": "n1"}[node]
    one.box.end(node)
    for pid in ancestors(int((one.folder / "go-more.0").read_text())):
        os.kill(pid, 9)  # a machine that goes takes its processes with it
    (one.folder / "go-more.0").unlink()
    one.box.call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    one.until(lambda: (one.folder / "go-more.0").exists(), "the cell runs again")
    assert one.box.call("squeue", "-h", "-j", job, "-o", "%N").strip() == other
    restarts = re.search(r"Restarts=(\d+)", one.box.call("scontrol", "-o", "show", "job", job))
    one.say(f"  the cell runs on the other node; restarts: {restarts[1] if restarts else '?'}")
    one.go.touch()
    assert one.bench("--only", "waits-s0")[0] == 0
    one.say(f"  records: {counted(one.records().elements())}")


def equal_on_both(one: Session) -> None:
    """The same suite file on `local`, in another folder: the same scores."""
    one.say("", "The same suite file on this machine alone, into a folder of its own.")
    before = scores(one.folder / "runs")
    one.out = one.folder / "local"
    assert one.bench("--jobs", "2", engine="local")[0] == 0
    after = scores(one.out)
    assert before == after
    one.say(f"  scores, directions and calibrations of {len(after)} runs: equal to those of SLURM")


def contract_kept(box: onebox.OneBox) -> list[str]:
    """What ``check-plugin slurm`` says on the cluster: the verdict, and what could not be checked there."""
    command = [sys.executable, "-m", "gdbench", "check-plugin", "slurm", "--json"]
    environment = {**os.environ, **box.environment}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["checks"]
    statuses = {one["clause"]: one["status"] for one in found}
    assert [statuses[clause] for clause in ("E01", "E02", "E03", "E04")] == ["passed", "passed", "passed", "skipped"]
    return [f"  {one['clause']} {one['name']}: {one['status']} {one['reason']}".rstrip() for one in found]


def scores(out: Path) -> dict[str, object]:
    """Of each run: its scores, and the hashes of what it discovered and measured."""
    from gdbench.runs.store import find_runs

    found = {}
    for folder in find_runs(out):
        record = folder.read(verify=True)
        files = {
            name: digest for name, digest in record.files.items() if name.startswith(("directions", "calibration"))
        }
        found[record.id] = (record.status, record.scores, files)
    return found


def kill_worker(one: Session, seed: int) -> None:
    pid = int((one.folder / f"{one.go.name}.{seed}").read_text())
    with suppress(ProcessLookupError):
        os.kill(pid, 9)


def ancestors(pid: int) -> list[int]:
    """A worker, after SLURM's step and the script that run it."""
    found = [pid]
    while "slurmstepd" not in Path(f"/proc/{found[0]}/comm").read_text():
        found.insert(0, int(Path(f"/proc/{found[0]}/stat").read_text().rpartition(")")[2].split()[1]))
    return found


def counted(things: object) -> str:
    counts = Counter(things)  # type: ignore[call-overload]
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[onebox.OneBox]:
    if reason := onebox.lacking():
        pytest.skip(reason)
    with onebox.onebox(tmp_path / "box") as made:
        yield made


@pytest.mark.slow
def test_the_engine_keeps_its_word_on_two_real_nodes(box: onebox.OneBox, tmp_path: Path) -> None:
    one = trial(box, tmp_path)
    node_lost(one)
    equal_on_both(one)


@pytest.mark.slow
def test_the_engine_keeps_the_contract_on_two_real_nodes(box: onebox.OneBox) -> None:
    contract_kept(box)


def test_what_is_committed_says_all_of_it() -> None:
    text = TRANSCRIPT.read_text()
    for word in (
        "killed by signal 9",
        "interrupted",
        "6 of them done already",
        "restarts: 1",
        "equal to those of SLURM",
    ):
        assert word in text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, onebox.onebox(Path(place) / "box") as cluster:
        story = trial(cluster, Path(place))
        node_lost(story)
        equal_on_both(story)
        story.say("", "The contract of engines, on the node that is left.", *contract_kept(cluster))
        TRANSCRIPT.parent.mkdir(exist_ok=True)
        TRANSCRIPT.write_text("\n".join(story.lines) + "\n")
