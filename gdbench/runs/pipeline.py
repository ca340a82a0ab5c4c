"""The straight line of a run: request -> cell -> generator -> directions -> calibration -> scores -> record."""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gdbench.context import SILENT, Reporter, Stopped, StopRequest
from gdbench.errors import GdbenchError, IntegrityError, UsageError
from gdbench.files import write_text
from gdbench.record import Cost, RunRecord
from gdbench.registry import Registry
from gdbench.runs import stages
from gdbench.runs.blame import told
from gdbench.runs.counting import Meter, threads
from gdbench.runs.device import pick_device
from gdbench.runs.drawing import draw
from gdbench.runs.environment import describe
from gdbench.runs.heap import keep_freed_memory
from gdbench.runs.measuring import as_scores, measure, voided
from gdbench.runs.planning import Plan, plan, request_of
from gdbench.runs.process import no_way_out, same_folder, terminable
from gdbench.runs.process_group import ALONE, ProcessGroup
from gdbench.runs.recorded import finished, is_evaluated, missing_metrics
from gdbench.runs.store import RunFolder, enough_space, nearly_full, open_run


def execute(
    plan: Plan, registry: Registry, reporter: Reporter, group: ProcessGroup = ALONE
) -> tuple[RunRecord, RunFolder]:
    """Run a plan to its record. What a plugin raises becomes a failed record; an interruption is recorded and raised.

    A run that is done already is read back, and only metrics that it lacks (or has in an older version) are measured;
    if that is interrupted or fails, the finished record keeps what it had, and the error is raised.
    group: the processes that share discovery, of which this is rank 0; the others call ``join_discovery``.
    Raises Busy when another process holds the folder.
    """
    with group.released(), same_folder(), open_run(plan.request.out, plan.id) as folder, terminable() as stop:
        if plan.request.fresh:
            folder.clear()
        old = finished(folder) if folder.done else folder.recovered()
        if old is not None and not is_evaluated(old, plan):
            record, old = _unevaluated(folder, old, plan), None
        else:
            record = old or begun(folder, plan)
        if old is not None and folder.done and not missing_metrics(old, plan.metrics, plan.metric_params):
            return old, RunFolder(folder.path)
        if plan.incompatible:
            record = replace(record, status="incompatible", reason=plan.incompatible)
            return folder.write(record), RunFolder(folder.path)
        enough_space(folder.path)
        folder.reopen()
        try:
            watched = registry.watched(reporter, plan.id)
            with no_way_out():
                record, failed = _computed(plan, registry, folder, record, watched, group, stop)
        except (KeyboardInterrupt, Stopped):
            reason = f"interrupted{stop.progress and f' at {stop.progress}'}; the same command resumes it"
            folder.write(old or replace(record, status="interrupted", reason=reason))
            reporter.log(f"{reason}; {_saved(folder, old)}: {plan.command_here}")
            raise
        except (Exception, SystemExit) as error:
            if old is not None:
                folder.write(old)
                raise GdbenchError(told(error, plan, plan.method) + nearly_full(folder.path)) from error
            if isinstance(error, UsageError):  # nothing to record: what was asked for cannot be
                raise
            write_text(folder.path / "traceback.txt", traceback.format_exc())
            reason = told(error, plan, plan.method) + nearly_full(folder.path)
            record, failed = replace(record, status="failed", reason=reason), {}
        if failed and old is None:
            record = voided(record, plan, failed)
        record = folder.write(record)
        if failed and old is not None:
            raise GdbenchError("; ".join(failed.values()))
    registry.run_finished(record, folder.path, reporter)
    return record, RunFolder(folder.path)


def _saved(folder: RunFolder, finished: RunRecord | None) -> str:
    """What an interrupted run need not do again, in words that lead to the command which goes on."""
    if finished is not None:
        return "the finished run keeps what it had; measure the rest with"
    kept = {"calibration.json": "directions and calibration are saved", stages.COST: "directions are saved"}
    kept["resume.pt"] = "the discovery so far is saved"
    here = [words for name, words in kept.items() if (folder.path / name).exists()]
    return f"{here[0] if here else 'nothing was there to save yet'}; go on with"


def join_discovery(plan: Plan, group: ProcessGroup) -> None:
    """Take part in the discovery of a run that rank 0 of ``group`` holds, if there is one; write nothing.

    A plugin's error that gdbench knows is not reported here: rank 0 runs the same discovery, meets the same error and
    records it.
    """
    if not group.called():
        return
    folder, device = RunFolder(plan.request.out / plan.id), pick_device(plan.request.device)
    if device.type == "cuda":
        device = pick_device(f"cuda:{os.environ['LOCAL_RANK']}")
    keep_freed_memory()
    with threads(plan.request.threads), terminable():
        run = stages.load(plan, folder, SILENT, device)
        resume = replace(run.context.resume, every=math.inf)  # rank 0 saves the state
        meter = Meter(run.generator, Cost(**resume.spent()))
        with suppress(GdbenchError):
            stages.search(replace(run, context=replace(run.context, resume=resume)))
        group.report(meter.cost())


def _unevaluated(folder: RunFolder, record: RunRecord, plan: Plan) -> RunRecord:
    """A finished record whose evaluation is of other versions: its directions stay, as discovered; all else goes."""
    folder.forget_evaluation()
    costs = {stage: cost for stage, cost in record.costs.items() if stage == "discover"}
    files = {name: digest for name, digest in record.files.items() if name.startswith(("directions.", "discovery."))}
    return replace(record, scores={}, metric_params={}, costs=costs, versions=plan.versions, files=files)


def begun(folder: RunFolder, plan: Plan) -> RunRecord:
    """The record to begin with: blank, but for where and when directions that were carried over were discovered."""
    try:
        earlier = folder.read()
    except IntegrityError:
        return blank(plan)
    if not earlier.migrated_from or not (folder.path / stages.COST).exists():
        return blank(plan)
    return replace(
        blank(plan),
        environment=earlier.environment,
        command=earlier.command,
        date=earlier.date,
        migrated_from=earlier.migrated_from,
    )


def blank(plan: Plan) -> RunRecord:
    """The record of a run of which nothing is known yet."""
    record = RunRecord(
        id=plan.id,
        cell=plan.cell,
        status="failed",
        reason="not finished",
        role=plan.method.spec.role,
        domain=plan.domain.spec.name,
        checkpoint_sha256=plan.checkpoint.sha256,
        versions=plan.versions,
        environment=describe(),
        command=plan.request.command(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return _with_card(record, plan)


def _with_card(record: RunRecord, plan: Plan) -> RunRecord:
    """The record with what the card of the weights says; it may know more when a run is measured again."""
    card = plan.checkpoint.checkpoint
    return replace(record, checkpoint_status=card.status, checkpoint_lacks=card.lacks) if card else record


def _with_threads(record: RunRecord, seconds: Mapping[str, float]) -> RunRecord:
    """The record with the seconds that passed with each number of threads, where the run chose it."""
    return replace(record, environment={**record.environment, "threads_seconds": seconds}) if seconds else record


def _computed(
    plan: Plan,
    registry: Registry,
    folder: RunFolder,
    record: RunRecord,
    reporter: Reporter,
    group: ProcessGroup,
    stop: StopRequest,
) -> tuple[RunRecord, dict[str, str]]:
    """Load, discover, calibrate, measure, draw: the record, and the metrics that failed with their reasons."""
    keep_freed_memory()
    with threads(plan.request.threads):
        run = stages.load(plan, folder, reporter, pick_device(plan.request.device), stop)
        found = stages.discover(run, registry.packages, group)
        meter = Meter(run.generator)
        calibrated = stages.calibrate(run, found.directions)
        costs = {"discover": found.cost, "calibrate": meter.cost(), **record.costs}  # what is known already stays
        scores = {**record.scores, "calibration": as_scores(calibrated.calibration.scores())}
        record = replace(record, status="done", reason="", distance=run.domain.distance, costs=costs, scores=scores)
        record = _with_card(record, plan)
        subject = stages.subject(run, found, calibrated)
        record, failed = measure(run, record, subject)
        stages.check_generator(run)
        draw(folder, subject, record, reporter, grid=plan.request.suite is None)
        return _with_threads(record, run.pace.facts()), failed


def remeasure(
    folder: RunFolder,
    names: Sequence[str],
    registry: Registry,
    reporter: Reporter,
    device: str = "auto",
    threads: int | None = None,
    metric_params: Mapping[str, Mapping[str, Any]] | None = None,
    max_memory: int | str | None = None,
) -> RunRecord:
    """Measure more on saved directions, discovering nothing anew: ``gdbench measure RUN --metric NAME``."""
    record = folder.read(verify=folder.done)
    if record.status != "done" or not (folder.path / stages.COST).exists():
        raise IntegrityError(f"{folder.path}: {record.status} {record.reason}; there are no directions to measure")
    request = request_of(record, folder.path.parent, names)
    request = replace(request, device=device, threads=threads, metric_params=metric_params or {}, max_memory=max_memory)
    made = plan(request, registry)
    if made.id != record.id:
        raise UsageError(
            f"{folder.path}: made with other versions or weights than are installed ({record.versions}); run it again"
        )
    return execute(made, registry, reporter)[0]
