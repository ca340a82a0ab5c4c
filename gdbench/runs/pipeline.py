"""The straight line of a run: request -> cell -> generator -> directions -> calibration -> scores -> record."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gdbench.errors import GdbenchError, IntegrityError, PluginError, UsageError
from gdbench.files import write_text
from gdbench.record import Cost, RunRecord
from gdbench.registry import Offer, Registry
from gdbench.runs.planning import Plan, missing_metrics, plan, request_of
from gdbench.runs.process import terminable
from gdbench.runs.process_group import ALONE, ProcessGroup
from gdbench.runs.store import RunFolder, open_run
from gdbench.specs import MethodSpec, resolve

if TYPE_CHECKING:
    from gdbench.context import Context, Reporter
    from gdbench.evaluation.calibration import Calibration
    from gdbench.evaluation.subject import Subject
    from gdbench.protocols import Directions, Domain, Generator

CALIBRATION_CODES = {"smoke": 8, "quick": 64, "standard": 64, "paper": 64}
EDIT_CODES = {"smoke": 16, "quick": 128, "standard": 128, "paper": 128}
COST = "discovery.json"


def execute(
    plan: Plan, registry: Registry, reporter: Reporter, group: ProcessGroup = ALONE
) -> tuple[RunRecord, RunFolder]:
    """Run a plan to its record. What a plugin raises becomes a failed record; an interruption is recorded and raised.

    A run that is done already is read back, and only metrics that it lacks (or has in an older version) are measured;
    if that is interrupted or fails, the finished record keeps what it had, and the error is raised.
    group: the processes that share discovery, of which this is rank 0; the others call ``join_discovery``.
    Raises Busy when another process holds the folder.
    """
    with group.released(), open_run(plan.request.out, plan.id) as folder, terminable():
        if plan.request.fresh:
            folder.clear()
        old = _finished(folder)
        if old is not None and not _evaluated(old, plan):
            begun, old = _unevaluated(folder, old, plan), None
        else:
            begun = old or blank(plan)
        if old is not None and not missing_metrics(old, plan.metrics, plan.metric_params):
            return old, folder
        record = begun
        if plan.incompatible:
            return folder.write(replace(record, status="incompatible", reason=plan.incompatible)), folder
        folder.reopen()
        try:
            record, failed = _compute(plan, registry, folder, record, reporter, group)
        except (KeyboardInterrupt, SystemExit):
            reason = "interrupted; the same command resumes it"
            folder.write(old or replace(record, status="interrupted", reason=reason))
            raise
        except Exception as error:
            if old is not None:
                folder.write(old)
                raise GdbenchError(_one_line(error, plan)) from error
            write_text(folder.path / "traceback.txt", traceback.format_exc())
            record, failed = replace(record, status="failed", reason=_one_line(error, plan)), {}
        if failed and old is None:
            from gdbench.runs.measuring import voided

            record = voided(record, plan, failed)
        record = folder.write(record)
        if failed and old is not None:
            raise GdbenchError("; ".join(failed.values()))
    registry.run_finished(record, folder.path, reporter)
    return record, folder


def join_discovery(plan: Plan, group: ProcessGroup) -> None:
    """Take part in the discovery of a run that rank 0 of ``group`` holds, if there is one; write nothing.

    An error in one line is left to rank 0, which meets the same in the same discovery, to record.
    """
    from gdbench.context import SILENT
    from gdbench.runs.counting import Counted, Meter, threads

    if not group.called():
        return
    folder, device = RunFolder(plan.request.out / plan.id), pick_device(plan.request.device)
    if device.type == "cuda":
        device = pick_device(f"cuda:{os.environ['LOCAL_RANK']}")
    with threads(plan.request.threads), terminable():
        generator = Counted(resolve(plan.generator.spec.load)(plan.checkpoint.path, plan.generator_params, device))
        context = _context(plan, folder, SILENT, device, resolve(plan.domain.spec.load)(device))
        context = replace(context, resume=replace(context.resume, every=math.inf))
        meter = Meter(generator, Cost(**context.resume.spent()))
        with suppress(GdbenchError):
            _found(plan, generator, context)
        group.report(meter.cost())


def is_complete(plan: Plan) -> bool:
    """Whether the plan's run is recorded with every metric it asks for, in the installed versions."""
    try:
        record = _finished(RunFolder(plan.request.out / plan.id))
    except IntegrityError:
        return False
    if record is None or not _evaluated(record, plan):
        return False
    return not missing_metrics(record, plan.metrics, plan.metric_params)


def _evaluated(record: RunRecord, plan: Plan) -> bool:
    """Whether a record's calibration and edits are those of the installed versions."""
    return all(record.versions.get(kind) == plan.versions[kind] for kind in ("evaluation", "domain"))


def _unevaluated(folder: RunFolder, record: RunRecord, plan: Plan) -> RunRecord:
    """A finished record whose evaluation is of other versions: its directions stay, as discovered; all else goes."""
    folder.forget_evaluation()
    costs = {stage: cost for stage, cost in record.costs.items() if stage == "discover"}
    return replace(record, scores={}, metric_params={}, costs=costs, versions=plan.versions)


def _finished(folder: RunFolder) -> RunRecord | None:
    if not folder.done:
        return None
    record = folder.read(verify=True)
    return record if record.status == "done" else None


def blank(plan: Plan) -> RunRecord:
    """The record of a run of which nothing is known yet."""
    from gdbench.runs.environment import describe

    card = plan.checkpoint.checkpoint
    return RunRecord(
        id=plan.id,
        cell=plan.cell,
        status="failed",
        reason="not finished",
        role=plan.method.spec.role,
        domain=plan.domain.spec.name,
        checkpoint_sha256=plan.checkpoint.sha256,
        checkpoint_status=card.status if card else "ready",
        versions=plan.versions,
        environment=describe(),
        command=plan.request.command(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _compute(
    plan: Plan, registry: Registry, folder: RunFolder, record: RunRecord, reporter: Reporter, group: ProcessGroup
) -> tuple[RunRecord, dict[str, str]]:
    """Load, discover, calibrate, measure; each stage's value is saved before the next begins.

    The record, and the metrics that failed with their reasons.
    """
    from gdbench.runs.counting import Counted, Meter, threads
    from gdbench.runs.measuring import as_scores, measure

    device = pick_device(plan.request.device)
    with threads(plan.request.threads):
        bare: Generator = resolve(plan.generator.spec.load)(plan.checkpoint.path, plan.generator_params, device)
        domain: Domain = resolve(plan.domain.spec.load)(device)
        batch = _bounded_batch(plan, bare, domain, reporter)
        generator = Counted(bare, batch)
        context = _context(plan, folder, reporter, device, domain)
        directions, cost = _discover(plan, registry, folder, generator, context, group)
        meter = Meter(generator)
        calibration, moments = _calibrate(plan, folder, generator, directions, domain, batch, reporter)
        costs = {"discover": cost, "calibrate": meter.cost(), **record.costs}  # of the first time, if measured again
        subject = _subject(plan, generator, directions, calibration, domain, moments, cost, batch, reporter)
        record = replace(record, status="done", reason="", distance=domain.distance, costs=costs)
        record = replace(record, scores={**record.scores, "calibration": as_scores(calibration.scores())})
        record, failed = measure(plan, folder, record, subject, context)
        _draw(folder, subject, record, reporter)
        return record, failed


def _bounded_batch(plan: Plan, generator: Generator, domain: Domain, reporter: Reporter) -> int | None:
    """How many images fit within ``--max-memory``; None where no bound is asked for."""
    from gdbench.evaluation.memory import fitting_batch

    limit = plan.request.max_memory
    if limit is None:
        return None
    batch = fitting_batch(generator, plan.cell.space, domain, int(limit))
    reporter.log(f"rendering {batch} images at a time, to stay within {int(limit) / 1e9:.2f} GB")
    return batch


def _draw(folder: RunFolder, subject: Subject, record: RunRecord, reporter: Reporter) -> None:
    """The picture grid of the directions, each named by the factor that it moves most; a fault spoils no numbers."""
    from gdbench.evaluation import pictures

    cell = record.cell
    title = f"{cell.generator}/{cell.checkpoint} x {cell.method}, seed {cell.seed}, {cell.tier}: -t to +t at 0.45"
    try:
        (folder.path / "pictures").mkdir(exist_ok=True)
        image = pictures.direction_grid(
            subject.generator,
            subject.directions,
            subject.calibration,
            subject.codes(3, "pictures"),
            names=_leading_factors(folder, subject),
            title=title,
        )
        pictures.save(image, folder.path / "pictures" / "directions.png")
    except (ValueError, ImportError) as error:
        reporter.log(f"no picture was made: {error}")


def _leading_factors(folder: RunFolder, subject: Subject) -> dict[int, str]:
    """Direction -> factor, where a metric's table has a column ``leading`` (see ``gdbench.Scores``)."""
    import pandas as pd

    factors = [factor.name for factor in subject.domain.factors] if subject.domain else []
    for table in sorted((folder.path / "tables").glob("*.parquet")):
        frame = pd.read_parquet(table)
        if "leading" in frame:
            return {k: factors[int(j)] for k, j in enumerate(frame["leading"]) if 0 <= j < len(factors)}
    return {}


def _context(plan: Plan, folder: RunFolder, reporter: Reporter, device: Any, domain: Domain) -> Context:
    from gdbench.context import Context, ResumePoint

    return Context(
        seed=plan.request.seed,
        device=device,
        k=plan.request.k,
        space=plan.cell.space,
        tier=plan.request.tier,
        domain=domain,
        reporter=reporter,
        resume=ResumePoint(folder.resume),
    )


def _discover(
    plan: Plan, registry: Registry, folder: RunFolder, generator: Any, context: Context, group: ProcessGroup
) -> tuple[Directions, Cost]:
    from gdbench.directions import load_directions
    from gdbench.runs.counting import Meter

    if (folder.path / COST).exists():
        cost = Cost(**json.loads((folder.path / COST).read_text()))
        return load_directions(folder.path, registry.packages, generator), cost
    meter = Meter(generator, Cost(**context.resume.spent()))
    resume = replace(context.resume, cost=lambda: asdict(meter.cost()))
    context = replace(context, resume=resume)
    group.call()
    directions = _found(plan, generator, context)
    check_directions(directions, plan.request.k, plan.cell.space, plan.method)
    cost = group.total(meter.cost())
    directions.save(folder.path)
    write_text(folder.path / COST, json.dumps(asdict(cost)))
    context.resume.clear()
    return directions, cost


def _found(plan: Plan, generator: Any, context: Context) -> Directions:
    """What the method finds; it sees the domain only if it asked for it."""
    needs_domain = "domain" in plan.method.spec.needs
    context = replace(context, domain=context.domain if needs_domain else None, add_cost=generator.add_cost)
    directions: Directions = resolve(plan.method.spec.discover)(generator, plan.method_params, context)
    return directions


def _calibrate(
    plan: Plan,
    folder: RunFolder,
    generator: Generator,
    directions: Directions,
    domain: Domain,
    batch: int | None,
    reporter: Reporter,
) -> tuple[Calibration, Any]:
    from gdbench.evaluation.calibration import TENSORS, Calibration, calibrate
    from gdbench.evaluation.memory import BATCH
    from gdbench.evaluation.prior import moments
    from gdbench.streams import Stream

    spread = moments(generator, directions.space)
    if (folder.path / TENSORS).exists():
        return Calibration.load(folder.path), spread
    stream = Stream(plan.request.seed, "calibrate")
    codes, oracle = CALIBRATION_CODES[plan.request.tier], domain.oracle("a")
    calibration = calibrate(generator, directions, oracle, spread, stream, codes, batch or BATCH, reporter)
    calibration.save(folder.path)
    return calibration, spread


def _subject(
    plan: Plan,
    generator: Generator,
    directions: Directions,
    calibration: Calibration,
    domain: Domain,
    moments: Any,
    cost: Cost,
    batch: int | None,
    reporter: Reporter,
) -> Subject:
    from gdbench.evaluation.memory import BATCH
    from gdbench.evaluation.subject import Subject

    return Subject(
        generator=generator,
        directions=directions,
        calibration=calibration,
        domain=domain,
        moments=moments,
        seed=plan.request.seed,
        n=EDIT_CODES[plan.request.tier],
        batch=batch or BATCH,
        cost=cost,
        cache=plan.request.out / ".cache",
        fingerprint=plan.fingerprint,
        reporter=reporter,
    )


def check_directions(directions: Directions, k: int, space: str, offer: Offer[MethodSpec]) -> None:
    """Raise PluginError, naming the plugin, unless there are ``k`` directions in ``space``."""
    try:
        found = len(directions), directions.space
    except (AttributeError, TypeError) as error:
        raise PluginError(f"method {offer.spec.name} ({offer.provider}) returned no Directions: {error}") from None
    if found != (k, space):
        raise PluginError(
            f"method {offer.spec.name} ({offer.provider}) returned {found[0]} directions in {found[1]!r}, "
            f"asked for {k} in {space!r}"
        )


def pick_device(name: str) -> Any:
    """The torch device of ``auto``, ``cpu``, ``cuda`` or ``cuda:n``. Raises UsageError where it does not exist."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: {torch.cuda.device_count()} CUDA devices here; try --device cpu")
    return device


def _one_line(error: Exception, plan: Plan) -> str:
    from gdbench.runs.measuring import first_line

    if isinstance(error, GdbenchError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)} (method {plan.method.spec.name}, {plan.method.provider})"


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
    if record.status != "done" or not (folder.path / COST).exists():
        raise IntegrityError(f"{folder.path}: {record.status} {record.reason}; there are no directions to measure")
    request = request_of(record, folder.path.parent, names)
    request = replace(request, device=device, threads=threads, metric_params=metric_params or {}, max_memory=max_memory)
    made = plan(request, registry)
    if made.id != record.id:
        raise UsageError(
            f"{folder.path}: made with other versions or weights than are installed ({record.versions}); run it again"
        )
    return execute(made, registry, reporter)[0]
