"""The stages of a run, each from a value to a value: load, discover, calibrate, prepare what metrics see.

Each saves what it made before the next begins, and reads it back where an interrupted run left it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from gdbench.context import Context, Reporter, ResumePoint, StopRequest
from gdbench.directions import load_directions
from gdbench.evaluation.calibration import TENSORS, Calibration
from gdbench.evaluation.calibration import calibrate as calibrate_directions
from gdbench.evaluation.memory import BATCH, fitting_batch
from gdbench.evaluation.prior import Moments, moments
from gdbench.evaluation.subject import Subject
from gdbench.expected import wrong_directions
from gdbench.files import write_text
from gdbench.protocols import Directions, Domain, Generator
from gdbench.record import Cost
from gdbench.runs.blame import load_domain, load_generator, refused
from gdbench.runs.counting import Counted, Meter
from gdbench.runs.pace import Pace, pace_of
from gdbench.runs.planning import Plan
from gdbench.runs.process_group import ProcessGroup
from gdbench.runs.store import STRIPS, RunFolder
from gdbench.specs import resolve
from gdbench.streams import Stream
from gdbench.tiers import CALIBRATION_CODES, EDIT_CODES

COST = "discovery.json"
"""What discovery cost; it is written last, so that a folder which has it has the directions too."""


@dataclass(frozen=True)
class Execution:
    """One execution of a plan: what its stages share.

    generator: counts what it renders. domain: with its oracles on the generator's device. context: what plugins are
    given. pace: chooses how many threads there are, where the request does not say. batch: the most images rendered at
    once, None where ``--max-memory`` sets no bound.
    """

    plan: Plan
    folder: RunFolder
    generator: Counted
    domain: Domain
    context: Context
    pace: Pace
    batch: int | None = None

    @property
    def reporter(self) -> Reporter:
        """Where progress and messages go."""
        return self.context.reporter


@dataclass(frozen=True)
class Found:
    """What discovery gave, and what it cost."""

    directions: Directions
    cost: Cost


@dataclass(frozen=True)
class Calibrated:
    """The calibration of directions, and the moments of their space that it was made with."""

    calibration: Calibration
    moments: Moments


def load(
    plan: Plan, folder: RunFolder, reporter: Reporter, device: torch.device, stop: StopRequest | None = None
) -> Execution:
    """Load the generator and its domain. Raises what plugins raise, and UsageError where memory is too small."""
    bare, domain = load_generator(plan, device), load_domain(plan, device)
    _tell_of_resizing(plan, bare, domain, reporter)
    batch = _fitting_batch(plan, bare, domain, reporter)
    context = Context(
        seed=plan.request.seed,
        device=device,
        k=plan.request.k,
        space=plan.cell.space,
        tier=plan.request.tier,
        domain=domain,
        reporter=reporter,
        resume=ResumePoint(folder.resume, stop=stop or StopRequest(), warn=reporter.log),
    )
    pace = pace_of(plan.request.threads, device)
    return Execution(plan, folder, Counted(bare, batch, pace), domain, context, pace, batch)


def _tell_of_resizing(plan: Plan, generator: Generator, domain: Domain, reporter: Reporter) -> None:
    """Say it where images of another size than the domain's are resized before oracles read them."""
    if "images" not in plan.domain.spec.offers:
        return
    with suppress(Exception):  # images that are not here, or an error of the domain: whoever needs them says so
        images = domain.images(1, Stream(0, "size").at())
        if told := resizing(generator.image_shape, images.shape[1:]):
            reporter.log(f"{plan.cell.generator}/{plan.cell.checkpoint}, domain {plan.domain.spec.name}: {told}")


def resizing(rendered: Sequence[int], real: Sequence[int]) -> str:
    """What is done to images of shape ``rendered`` (channels, height, width) where those of their domain have shape
    ``real``, and what that means, in one line; "" where they have the same."""
    done = []
    if list(rendered[1:]) != list(real[1:]):
        larger = rendered[1] * rendered[2] > real[1] * real[2]
        means = "what is finer changes no score" if larger else "the blur of enlarging counts as the generator's"
        done.append(f"images of {rendered[1]} x {rendered[2]} px are resized to {real[1]} x {real[2]} px ({means})")
    if rendered[0] != real[0]:
        done.append(
            "colours are averaged to grey" if rendered[0] > real[0] else "grey is repeated as red, green and blue"
        )
    return f"{' and '.join(done)} before oracles read them" if done else ""


def _fitting_batch(plan: Plan, generator: Generator, domain: Domain, reporter: Reporter) -> int | None:
    """How many images fit within ``--max-memory``; None where no bound is asked for."""
    limit = plan.request.max_memory
    if limit is None:
        return None
    batch = fitting_batch(generator, plan.cell.space, domain, int(limit))
    reporter.log(f"rendering {batch} images at a time, to stay within {int(limit) / 1e9:.2f} GB")
    return batch


def discover(run: Execution, packages: frozenset[str], group: ProcessGroup) -> Found:
    """Discover the directions, or read those that the folder has.

    packages: the modules whose classes saved directions may name. group: the processes that take part.
    Raises PluginError where the method returns something else than the K directions it was asked for.
    """
    plan, folder, context = run.plan, run.folder, run.context
    if (folder.path / COST).exists():
        cost = Cost(**json.loads((folder.path / COST).read_text()))
        return Found(load_directions(folder.path, packages, run.generator), cost)
    meter = Meter(run.generator, Cost(**context.resume.spent()))
    resume = replace(context.resume, cost=lambda: asdict(meter.cost()))
    group.call()
    with _generator_blamed_first(run):
        directions = search(replace(run, context=replace(context, resume=resume)))
    cost = group.total(meter.cost())
    codes = run.generator.sample(2, plan.cell.space, Stream(0, "check").at())
    if complaint := wrong_directions(directions, plan.request.k, plan.cell.space, codes):
        raise refused(plan.method, complaint, plan.method.spec.discover)
    directions.save(folder.path)
    write_text(folder.path / COST, json.dumps(asdict(cost)))
    context.resume.clear()
    # as they were kept: whoever measures them later finds the same numbers
    return Found(load_directions(folder.path, packages, run.generator), cost)


def search(run: Execution) -> Directions:
    """What the method finds; it sees the domain only if it asked for it, so that no method is supervised unawares."""
    plan, context = run.plan, run.context
    domain = context.domain if "domain" in plan.method.spec.needs else None
    context = replace(context, domain=domain, add_cost=run.generator.add_cost)
    directions: Directions = resolve(plan.method.spec.discover)(run.generator, plan.method_params, context)
    return directions


def calibrate(run: Execution, directions: Directions) -> Calibrated:
    """Calibrate the directions, or read the calibration that the folder has."""
    spread = moments(run.generator, directions.space)
    if (run.folder.path / TENSORS).exists():
        return Calibrated(Calibration.load(run.folder.path), spread)
    request = run.plan.request
    with _generator_blamed_first(run):
        calibration = calibrate_directions(
            run.generator,
            directions,
            run.domain.oracle("a"),
            spread,
            Stream(request.seed, "calibrate"),
            CALIBRATION_CODES[request.tier],
            run.batch or BATCH,
            run.reporter,
        )
    calibration.save(run.folder.path)
    (run.folder.path / STRIPS).unlink(missing_ok=True)  # they were drawn at another calibration
    return Calibrated(calibration, spread)


@contextmanager
def _generator_blamed_first(run: Execution) -> Iterator[None]:
    """What a method or calibration does with images that are not finite is not its fault: say whose it is."""
    try:
        yield
    except Exception:
        check_generator(run)
        raise
    check_generator(run)


def check_generator(run: Execution) -> None:
    """Raise PluginError where the generator of a run gave numbers that are not finite."""
    cell = run.plan.cell
    run.generator.check(f"{cell.generator}/{cell.checkpoint}")


def subject(run: Execution, found: Found, calibrated: Calibrated) -> Subject:
    """What metrics see."""
    request = run.plan.request
    return Subject(
        generator=run.generator,
        directions=found.directions,
        calibration=calibrated.calibration,
        domain=run.domain,
        moments=calibrated.moments,
        seed=request.seed,
        n=EDIT_CODES[request.tier],
        batch=run.batch or BATCH,
        cost=found.cost,
        cache=request.out / ".cache",
        shipped=numbers_beside(run.plan.checkpoint.path),
        fingerprint=run.plan.fingerprint,
        reporter=run.reporter,
    )


def numbers_beside(weights: Path | None) -> Path | None:
    """The file of tables that ships beside a file of weights, keyed by fingerprint (see ``Subject.cached``)."""
    return weights.parent / "numbers" / f"{weights.stem}.json" if weights else None
