"""Running many cells: each in a process of its own, so that a hung, crashed or noisy plugin costs only its own cell.

An engine starts the processes, here or on other machines. The store is the only truth: a cell succeeded when a record
of this execution says so, whatever its process returned. Several benches may share one folder: each takes the cells
that nobody holds, and waits for the others at the end.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gdbench.context import Reporter, Stopped
from gdbench.engines import Engine, Job, JobState, Resources
from gdbench.errors import Busy, GdbenchError
from gdbench.runs.logs import cut
from gdbench.runs.planning import Plan
from gdbench.runs.process import terminable
from gdbench.runs.request import RunRequest
from gdbench.runs.settling import Ending, Outcome, code_in_words, ending, recorded_elsewhere, settle
from gdbench.runs.store import RunFolder, Stamp, writable

WORKER = (sys.executable, "-m", "gdbench.runs.worker")

ATTEMPTS = 2
"""How often a child may say that its cell is held, while it is not, until that counts as a failure of the child."""


@dataclass(frozen=True)
class Bench:
    """How cells are run: by this engine, with these plugin files.

    resources: by id of a plan, where they are not the usual ones. patience: seconds between two looks at cells that
    other processes hold. stays: waits for those; else it leaves them when there is nothing else to do. submits: leaves
    as soon as the engine has every job. worker: the command that runs the cell of the request on its standard input.
    """

    engine: Engine
    plugins: Sequence[Path] = ()
    resources: Mapping[str, Resources] = field(default_factory=dict)
    patience: float = 2.0
    stays: bool = True
    submits: bool = False
    worker: Sequence[str] = WORKER

    def run(self, plans: Sequence[Plan], reporter: Reporter) -> Iterator[Outcome]:
        """Run every plan in a process of its own; outcomes come as they finish. Only a bench that does not stay, or
        that only submits, ends with cells of which it tells no outcome.

        Ctrl-C and what schedulers send end the bench and what cannot go on without it, which records its interruption
        and can resume. Raises GdbenchError where the folder of the runs cannot be written.
        """
        for folder in {plan.request.out for plan in plans}:
            writable(folder / "logs")
        at_work = _AtWork(self, plans, reporter)
        with terminable(), reporter.task("cells", len(plans)) as task:
            try:
                for outcome in at_work.outcomes():
                    task.advance()
                    yield outcome
            except (KeyboardInterrupt, Stopped):
                left = len(at_work.todo) + len(at_work.active) + len(at_work.held)
                reporter.log(f"interrupted, {left} cells are to go; what ran saves; the same command goes on")
                raise
            finally:
                if remains := self.engine.close():
                    reporter.log(remains)

    def job(self, plan: Plan) -> Job:
        """The process of a plan."""
        return Job(
            name=plan.id,
            command=(*self.worker, *map(str, self.plugins)),
            input=plan.request.to_json(),
            log=log_of(plan),
            folder=plan.request.out / plan.id,
            files=tuple(self.plugins),
            resources=self.resources.get(plan.id, Resources()),
            mark=json.dumps(RunFolder(plan.request.out / plan.id).stamp),
        )


def log_of(plan: Plan) -> Path:
    """Where the output of a plan's process goes."""
    return plan.request.out / "logs" / f"{plan.id}.log"


class _AtWork:
    """One call of a bench: which cells wait, which an engine has, and which other processes hold."""

    def __init__(self, bench: Bench, plans: Sequence[Plan], reporter: Reporter) -> None:
        self.bench, self.engine, self.reporter = bench, bench.engine, reporter
        self.stamps: Mapping[str, Stamp] = {plan.id: RunFolder(plan.request.out / plan.id).stamp for plan in plans}
        known = self.engine.states()
        self.active = {plan.id: plan for plan in plans if plan.id in known}
        self.todo = deque(plan for plan in plans if plan.id not in known)
        if self.todo and (not bench.stays or any(RunFolder(p.request.out / p.id).held for p in plans)):
            self.todo.rotate(secrets.randbelow(len(plans)))  # so that those who share the work do not chase one cell
        self.held: list[Plan] = []
        self.endings: dict[str, Ending] = {}  # of jobs that are over, while another process holds their run
        self.attempts: Counter[str] = Counter()
        self.started: dict[str, float] = {}
        self.looked, self.said, self.shown = 0.0, "", ""

    def outcomes(self) -> Iterator[Outcome]:
        """Work until nothing is left."""
        while self.todo or self.active or self.held:
            found = [*self._offer(), *self._collect()]
            yield from found
            if self.bench.submits and not self.todo:
                return
            if self.held and not self.todo and not self.active and not self.bench.stays:
                names = ", ".join(plan.id for plan in self.held)
                self.reporter.log(f"{len(self.held)} cells are left to other processes, which hold them: {names}")
                return
            self._look_again()
            if not found and (self.active or self.held):
                time.sleep(self.engine.poll)

    def _offer(self) -> Iterator[Outcome]:
        """Hand the engine as many cells as it takes; tell of those that another process recorded meanwhile."""
        jobs: list[Job] = []
        room = self.engine.room() if self.todo else 0
        while self.todo and len(jobs) < room:
            plan = self.todo.popleft()
            if RunFolder(plan.request.out / plan.id).held:
                self.held.append(plan)
            elif plan.id in self.endings:
                yield from self._settle(plan, self.endings.pop(plan.id))
            elif outcome := recorded_elsewhere(plan, self.stamps[plan.id]):
                yield outcome
            else:
                jobs.append(self.bench.job(plan))
                self.active[plan.id] = plan
                self.started[plan.id] = time.monotonic()
        if jobs:
            self.engine.submit(jobs)

    def _collect(self) -> Iterator[Outcome]:
        """Take note of the jobs that are over."""
        states = {name: state for name, state in self.engine.states().items() if name in self.active}
        for name, state in states.items():
            cut(log_of(self.active[name]))
            if state.phase == "ended":
                plan = self.active.pop(name)
                limit = self.bench.resources.get(name, Resources()).seconds
                yield from self._settle(plan, ending(state, log_of(plan), self._before(plan, state), limit))
                self.engine.forget(name)
        for name in set(self.active) - set(states):
            plan = self.active.pop(name)
            yield from self._settle(plan, Ending("failed", "its engine lost it", self.stamps[name]))
        self._show(states)

    def _before(self, plan: Plan, state: JobState) -> Stamp:
        try:
            mark = json.loads(state.mark)
            return (int(mark[0]), int(mark[1])) if mark else None
        except (ValueError, TypeError, IndexError):
            return self.stamps[plan.id]

    def _settle(self, plan: Plan, ended: Ending) -> Iterator[Outcome]:
        """The outcome of a job that is over; none yet where another process holds its run."""
        if ended.status == "busy" and self.attempts[plan.id] == ATTEMPTS - 1:
            ended = Ending("failed", code_in_words(Busy.exit_code), ended.before)
        log = log_of(plan)
        outcome = settle(plan, ended, log)
        if outcome.status == "busy":
            self.held.append(plan)
            if not outcome.reason:  # nobody holds it, whatever the job said
                self.attempts[plan.id] += 1
            elif ended.status != "busy":
                self.endings[plan.id] = ended
            return
        seconds = time.monotonic() - self.started[plan.id] if plan.id in self.started else 0.0
        reason = f"{outcome.reason}; see {log}" if outcome.reason else ""
        yield Outcome(plan, outcome.status, reason, seconds)

    def _look_again(self) -> None:
        """Now and then, look at the cells that other processes hold."""
        if not self.held or time.monotonic() - self.looked < self.bench.patience:
            return
        names = ", ".join(plan.id for plan in self.held)
        if names != self.said and not self.todo and not self.active:
            self.reporter.log(f"waiting for other processes that hold {names}")
            self.said = names
        self.todo.extend(self.held)
        self.held, self.looked = [], time.monotonic()

    def _show(self, states: Mapping[str, JobState]) -> None:
        """Say how many jobs wait and run, where an engine keeps some waiting and the numbers changed."""
        phases = Counter(state.phase for state in states.values())
        shown = f"{phases['waiting']} jobs waiting, {phases['running']} running"
        if phases["waiting"] and shown != self.shown:
            self.reporter.log(shown)
        self.shown = shown


def read_request(text: str) -> RunRequest:
    """The request that a parent process wrote. Raises GdbenchError where it is none."""
    try:
        return RunRequest.from_json(text)
    except (ValueError, KeyError, TypeError) as error:
        raise GdbenchError(f"not a run request: {error}") from None
