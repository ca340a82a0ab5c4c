"""The engine `local`: child processes of this one, as many at a time as there is room for."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gdbench import EngineSetup, Job, JobState, Resources, UsageError
from gdbench_engines.params import LocalParams


@dataclass
class _Child:
    """A process that runs or has ended. gpus: the indices that it was given. asked: when it was told to end."""

    job: Job
    process: subprocess.Popen[bytes]
    gpus: tuple[str, ...]
    started: float = field(default_factory=time.monotonic)
    asked: float | None = None
    late: bool = False
    cancelled: bool = False

    @property
    def deadline(self) -> float | None:
        """When its time is over."""
        limit = self.job.resources.seconds
        return None if limit is None else self.started + limit


class Local:
    """The child processes of a bench."""

    poll = 0.05

    def __init__(self, at_once: int, gpus: Sequence[str], cpus: int | None, memory: int | None, grace: float) -> None:
        self.at_once, self.gpus, self.cpus, self.memory, self.grace = at_once, tuple(gpus), cpus, memory, grace
        self.queue: deque[Job] = deque()
        self.running: dict[str, _Child] = {}
        self.over: dict[str, JobState] = {}

    def room(self) -> int:
        """How many more jobs may start; none while one waits, so that a large one is not overtaken for ever."""
        self._look()
        return 0 if self.queue else max(0, self.at_once - len(self.running))

    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs, or keep them until what they need is free."""
        for job in jobs:
            self._check(job.resources)
        self.queue.extend(jobs)
        self._look()

    def states(self) -> Mapping[str, JobState]:
        """Where each job is."""
        self._look()
        waiting = {job.name: JobState("waiting", mark=job.mark) for job in self.queue}
        running = {name: JobState("running", mark=child.job.mark) for name, child in self.running.items()}
        return {**waiting, **running, **self.over}

    def forget(self, name: str) -> None:
        """The job's end was taken note of."""
        self.over.pop(name, None)

    def cancel(self, names: Collection[str]) -> None:
        """Ask jobs to end."""
        for job in [job for job in self.queue if job.name in names]:
            self.queue.remove(job)
            self.over[job.name] = JobState("ended", status="interrupted", mark=job.mark)
        for name in names:
            if child := self.running.get(name):
                child.cancelled = True
                self._ask(child)

    def close(self) -> str:
        """End all children, and wait until they did."""
        self.cancel({*self.running, *(job.name for job in self.queue)})
        while self.running:
            self._look()
            time.sleep(self.poll)
        return ""

    def _check(self, needs: Resources) -> None:
        """Raises UsageError for what this machine never has."""
        for name, need, there in (
            ("GPUs", needs.gpus, len(self.gpus)),
            ("CPUs", needs.cpus, self.cpus),
            ("bytes of memory", needs.bytes or 0, self.memory),
        ):
            if there is not None and need > there:
                raise UsageError(f"a cell needs {need:,} {name}, the engine local has {there:,}: change its resources")

    def _look(self) -> None:
        """Take note of children that ended, end those whose time is over, and start what there is room for."""
        now = time.monotonic()
        for child in list(self.running.values()):
            if child.process.poll() is not None:
                self._note(child)
            elif child.asked is not None and now - child.asked > self.grace:
                _signal(child, signal.SIGKILL)
            elif child.asked is None and child.deadline is not None and now > child.deadline:
                child.late = True
                self._ask(child)
        while self.queue and self._fits(self.queue[0].resources):
            self._start(self.queue.popleft())

    def _note(self, child: _Child) -> None:
        _signal(child, signal.SIGKILL)  # processes of its own
        status = "timeout" if child.late else "interrupted" if child.cancelled else ""
        code = child.process.returncode
        self.over[child.job.name] = JobState("ended", code, status=status, mark=child.job.mark)  # type: ignore[arg-type]
        del self.running[child.job.name]

    def _ask(self, child: _Child) -> None:
        if child.asked is None:
            child.asked = time.monotonic()
            _signal(child, signal.SIGTERM)

    def _fits(self, needs: Resources) -> bool:
        running = [child.job.resources for child in self.running.values()]
        cpus = needs.cpus + sum(other.cpus for other in running)
        memory = (needs.bytes or 0) + sum(other.bytes or 0 for other in running)
        return (
            len(running) < self.at_once
            and needs.gpus <= len(self._free())
            and (self.cpus is None or cpus <= self.cpus)
            and (self.memory is None or memory <= self.memory)
        )

    def _free(self) -> list[str]:
        taken = {gpu for child in self.running.values() for gpu in child.gpus}
        return [gpu for gpu in self.gpus if gpu not in taken]

    def _start(self, job: Job) -> None:
        gpus = tuple(self._free()[: job.resources.gpus])
        environment = {**os.environ, **({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {})}
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as source, job.log.open("ab") as output:
            source.write(job.input.encode())
            source.seek(0)
            process = subprocess.Popen(
                job.command,
                stdin=source,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
        if job.resources.bytes is not None and not gpus:
            _bound(process.pid, job.resources.bytes)
        self.running[job.name] = _Child(job, process, gpus)


def start(params: LocalParams, setup: EngineSetup) -> Local:
    """The engine: one cell at a time unless told otherwise."""
    memory = Resources(memory=params.memory).bytes
    return Local(setup.at_once or 1, _gpus(params.gpus), params.cpus, memory, params.grace)


def _gpus(limit: int | None) -> list[str]:
    """The indices of the GPUs that cells may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if limit == 0:
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        import torch

        named = ",".join(map(str, range(torch.cuda.device_count())))
    return [name for name in named.split(",") if name.strip()][:limit]


def _bound(pid: int, memory: int) -> None:
    """Let allocations of a process fail beyond ``memory`` bytes, where the system can."""
    if hasattr(resource, "prlimit"):
        with suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory, memory))


def _signal(child: _Child, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)
