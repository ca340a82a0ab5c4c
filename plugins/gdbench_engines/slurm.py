"""The engine `slurm`: arrays of a cluster's queue. What it knows lies in files beside the runs, so that a later bench
finds the jobs of an earlier one.

It asks squeue, and scontrol of jobs that are over; sacct only where it answers, as many clusters keep no accounts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gdbench import EngineSetup, GdbenchError, Job, JobState, write_text
from gdbench_engines.params import SlurmParams
from gdbench_engines.slurm_script import TIMEOUT, script

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED", "STOPPED"}
RUNNING = {"RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING"}
LAG = 15.0
"""Seconds in which what a job wrote at its end may not be seen yet: shared file systems answer from memory."""
MANY = 100_000
COMMAND = 120.0


@dataclass(frozen=True)
class _Known:
    """A cell in the queue: task ``task`` of array ``array``, in which ``size`` cells run one after another."""

    name: str
    array: str
    task: int
    size: int
    mark: str

    @property
    def id(self) -> str:
        """As SLURM names it."""
        return f"{self.array}_{self.task}"


class Slurm:
    """The jobs of one folder of runs in the queue."""

    def __init__(self, params: SlurmParams, setup: EngineSetup) -> None:
        self.params, self.folder, self.at_once = params, setup.folder.absolute(), setup.at_once
        self.poll = params.poll
        for name in ("jobs", "input", "ended", "tasks"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.known = {one.name: one for one in map(_read, sorted((self.folder / "jobs").glob("*.json"))) if one}
        self.said: dict[str, str] = {}  # id -> the last state that SLURM told
        self.missed: dict[str, float] = {}  # name -> since when its job is over without a word

    def room(self) -> int:
        """A queue takes all."""
        return MANY

    def submit(self, jobs: Sequence[Job]) -> None:
        """One array for all jobs of the same resources; more where the cluster's limit asks for them.

        Raises GdbenchError with sbatch's own words where it refuses; what was taken before stays in the queue.
        """
        most = _most_tasks()
        by_needs: dict[object, list[Job]] = {}
        for job in jobs:
            by_needs.setdefault(job.resources, []).append(job)
        for alike in by_needs.values():
            bundles = [alike[i : i + self.params.bundle] for i in range(0, len(alike), self.params.bundle)]
            for start in range(0, len(bundles), most):
                self._submit(bundles[start : start + most])

    def _submit(self, bundles: Sequence[Sequence[Job]]) -> None:
        for job in (job for bundle in bundles for job in bundle):
            write_text(self.folder / "input" / f"{job.name}.json", job.input)
            (self.folder / "ended" / job.name).unlink(missing_ok=True)
            job.log.parent.mkdir(parents=True, exist_ok=True)
        text = script(bundles, self.params, self.folder, self.at_once)
        path = self.folder / f"array-{time.time_ns()}.sh"
        write_text(path, text)
        done = _call("sbatch", "--parsable", str(path))
        if done is None or done.returncode != 0:
            said = "it does not answer" if done is None else _last_line(done.stderr)
            raise GdbenchError(f"sbatch: {said} (in {path}; partition, account and more: gdbench info slurm)")
        array = done.stdout.strip().partition(";")[0]
        for task, bundle in enumerate(bundles):
            for job in bundle:
                one = _Known(job.name, array, task, len(bundle), job.mark)
                write_text(self.folder / "jobs" / f"{job.name}.json", json.dumps(asdict(one)))
                self.known[job.name] = one

    def states(self) -> Mapping[str, JobState]:
        """Where each cell is."""
        if not self.known:
            return {}
        queue = _queue()
        if queue is not None:  # else the controller is away for a while: what it said last holds
            for one in self.known.values():
                self.said[one.id] = queue.get(one.id, "GONE")
        return {name: self._state(one) for name, one in list(self.known.items())}

    def _state(self, one: _Known) -> JobState:
        code = self._code(one.name)
        if code == TIMEOUT:
            return JobState("ended", reason=f"SLURM job {one.id}: its time was over", status="timeout", mark=one.mark)
        if code is not None:
            number = int(code)
            told = -(number - 128) if number > 128 else number
            return JobState("ended", told, f"SLURM job {one.id}" if told else "", mark=one.mark)
        state = self.said.get(one.id, "PENDING")
        if state in WAITING:
            return JobState("waiting", mark=one.mark)
        if state in RUNNING or not self._waited(one.name):
            return JobState("running", mark=one.mark)
        return self._over(one, state)

    def _waited(self, name: str) -> bool:
        """Whether a job that is over has been so for long enough that its last words should be seen."""
        since = self.missed.setdefault(name, time.monotonic())
        return time.monotonic() - since > self.params.lag

    def _over(self, one: _Known, state: str) -> JobState:
        """A cell whose job ended before its script could say how."""
        told, code = _post_mortem(one.id)
        state = told or state
        words = f"SLURM job {one.id}: {'no longer in the queue' if state == 'GONE' else state}"
        if state.startswith("CANCELLED"):
            return JobState("ended", code, words, "interrupted", one.mark)
        if state.startswith("TIMEOUT"):
            return JobState("ended", code, words, "timeout", one.mark)
        return JobState("ended", code or None, words, mark=one.mark)

    def _code(self, name: str) -> str | None:
        """What the script wrote when the cell ended, None where it did not yet."""
        try:
            text = (self.folder / "ended" / name).read_text().strip()
        except OSError:
            return None
        return text if text == TIMEOUT or text.isdecimal() else None

    def forget(self, name: str) -> None:
        """The cell's end was taken note of."""
        self.known.pop(name, None)
        self.missed.pop(name, None)
        for path in (self.folder / "jobs" / f"{name}.json", self.folder / "input" / f"{name}.json"):
            path.unlink(missing_ok=True)

    def cancel(self, names: Collection[str]) -> None:
        """End the tasks all of whose cells are to end."""
        chosen = [one for name in names if (one := self.known.get(name))]
        counts = {one.id: sum(other.id == one.id for other in chosen) for one in chosen}
        if ids := sorted({one.id for one in chosen if counts[one.id] == one.size}):
            _call("scancel", *ids)

    def close(self) -> str:
        """Leave what waits and runs to the queue."""
        if not self.known:
            return ""
        arrays = " ".join(sorted({one.array for one in self.known.values()}, key=lambda text: (len(text), text)))
        return (
            f"{len(self.known)} cells stay in the queue of SLURM; the same command collects them and submits the rest; "
            f"to end them: scancel {arrays}"
        )


def start(params: SlurmParams, setup: EngineSetup) -> Slurm:
    """The engine, with what an earlier bench left in the queue."""
    return Slurm(params, setup)


def lacking() -> str:
    """Why there is no SLURM here, or ""."""
    missing = [name for name in ("sbatch", "squeue", "scontrol", "scancel") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)}: not installed here; submit from a machine of the cluster"
    done = _call("squeue", "--noheader", "--me")
    if done is None or done.returncode != 0:
        return f"squeue: {'it does not answer' if done is None else _last_line(done.stderr)}"
    return ""


def _read(path: Path) -> _Known | None:
    try:
        return _Known(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _queue() -> dict[str, str] | None:
    """Id of a task -> its state, of this user's jobs that are queued, running or just over; None: no answer."""
    done = _call("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%F_%K %T")
    if done is None or done.returncode != 0:
        return None
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) == 2)


def _post_mortem(job: str) -> tuple[str, int | None]:
    """State and exit code of a job that is over; "" and None where nothing tells them any more."""
    done = _call("scontrol", "--oneliner", "show", "job", job)
    if done is not None and done.returncode == 0:
        facts = dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
        if "JobState" in facts:
            return facts["JobState"], _number(facts.get("ExitCode", ""))
    done = _call("sacct", "--noheader", "--parsable2", f"--jobs={job}", "--format=State,ExitCode")
    if done is not None and done.returncode == 0 and done.stdout.strip():
        state, _, code = done.stdout.splitlines()[0].partition("|")
        return state, _number(code)
    return "", None


def _number(text: str) -> int | None:
    """SLURM's ``code:signal`` as ``subprocess`` has it: a negative signal, or the code."""
    code, _, signal = text.partition(":")
    if not (code.isdecimal() and (signal or "0").isdecimal()):
        return None
    return -int(signal) if int(signal or 0) else int(code)


def _most_tasks() -> int:
    """How many tasks an array may have here."""
    done = _call("scontrol", "show", "config")
    lines: Iterable[str] = done.stdout.splitlines() if done is not None else ()
    found = [line.partition("=")[2].strip() for line in lines if line.startswith("MaxArraySize")]
    return max(1, int(found[0]) - 1) if found and found[0].isdecimal() else 1000


def _call(*command: str) -> subprocess.CompletedProcess[str] | None:
    """The end of a command of SLURM; None where it is not there or hangs."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND, check=False)
    except (OSError, subprocess.SubprocessError):
        return None


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "it failed without a word"
