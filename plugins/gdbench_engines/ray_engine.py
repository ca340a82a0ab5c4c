"""The engine `ray`: each cell a task of Ray, on machines that need not share a disk. The run's folder goes there and
comes back as bytes; a task whose machine dies is run again elsewhere."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gdbench import EngineSetup, GdbenchError, Job, JobState, carried, packed
from gdbench_engines.params import RayParams

PASSED = ("PYTHONPATH", "OMP_NUM_THREADS", "XDG_DATA_HOME")
"""Variables of this process that tasks are given, where it has them."""
MANY = 1000


class Ray:
    """The tasks of one bench."""

    poll = 0.5

    def __init__(self, ray: Any, params: RayParams, at_once: int | None, owned: bool) -> None:
        self.ray, self.params, self.at_once, self.owned = ray, params, at_once or MANY, owned
        self.tasks: dict[str, tuple[Job, Any]] = {}
        self.over: dict[str, JobState] = {}

    def room(self) -> int:
        """Ray keeps what has to wait; but each task holds a folder in memory, so not all at once."""
        return max(0, self.at_once - len(self.tasks))

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand tasks to Ray."""
        environment = {name: os.environ[name] for name in PASSED if name in os.environ} | dict(self.params.environment)
        for job in jobs:
            needs: dict[str, Any] = {"num_cpus": job.resources.cpus, "num_gpus": job.resources.gpus}
            if job.resources.bytes is not None:
                needs["memory"] = job.resources.bytes
            task = self.ray.remote(max_retries=self.params.retries, **needs, **self.params.options)(carried)
            files = {str(path): path.read_bytes() for path in job.files}
            self.tasks[job.name] = job, task.remote(job, files, packed(job.folder), environment)

    def states(self) -> Mapping[str, JobState]:
        """Where each task is; Ray does not say which of them wait."""
        names = {task: name for name, (_, task) in self.tasks.items()}
        if names:
            ready, _ = self.ray.wait(list(names), num_returns=len(names), timeout=0)
            for task in ready:
                job, _ = self.tasks.pop(names[task])
                self.over[job.name] = self._ended(job, task)
        return {**{name: JobState("running", mark=job.mark) for name, (job, _) in self.tasks.items()}, **self.over}

    def _ended(self, job: Job, task: Any) -> JobState:
        try:
            found = self.ray.get(task)
        except self.ray.exceptions.TaskCancelledError:
            return JobState("ended", status="interrupted", mark=job.mark)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            return JobState("ended", None, f"Ray: {type(error).__name__}: {first[:200]}", mark=job.mark)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            log.write(found.log)
        status = "timeout" if found.late else ""
        return JobState("ended", found.code, status=status, mark=job.mark, folder=found.folder)  # type: ignore[arg-type]

    def forget(self, name: str) -> None:
        """The task's end was taken note of."""
        self.over.pop(name, None)

    def cancel(self, names: Collection[str]) -> None:
        """End tasks."""
        for name in names:
            if name in self.tasks:
                self.ray.cancel(self.tasks[name][1])

    def close(self) -> str:
        """End all tasks, and Ray where it was started here."""
        self.cancel(list(self.tasks))
        if self.owned:
            self.ray.shutdown()
        return ""


def start(params: RayParams, setup: EngineSetup) -> Ray:
    """The engine, connected to the cluster of ``address``, or of ``RAY_ADDRESS``, else with this machine alone.

    Raises GdbenchError where Ray does not start.
    """
    import ray

    owned = not ray.is_initialized()
    if owned:
        os.environ.setdefault("RAY_raylet_start_wait_time_s", str(params.patience))
        try:
            ray.init(address=params.address, include_dashboard=False, log_to_driver=False, logging_level=40)
        except Exception as error:  # Ray's own, and bare ones
            first = (str(error).strip().splitlines() or [""])[0]
            longer = f"-p patience={2 * params.patience} waits longer"
            raise GdbenchError(f"Ray did not start: {type(error).__name__}: {first[:200]}; {longer}") from None
    return Ray(ray, params, setup.at_once, owned)


def lacking() -> str:
    """Why there is no Ray here, or ""."""
    return "" if importlib.util.find_spec("ray") else "Ray is not installed here: pip install 'gdbench[ray]'"
