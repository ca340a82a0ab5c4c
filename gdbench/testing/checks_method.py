"""Clauses M: what every method keeps. Each is tried with smoke parameters and K = 4."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.context import Context, ResumePoint, Task
from gdbench.directions import load_directions
from gdbench.errors import GdbenchError
from gdbench.protocols import CodeDependent, Directions, Generator, StepLengths
from gdbench.runs.counting import Counted
from gdbench.streams import Stream
from gdbench.testing.cases import Interrupt, K, MethodCase, Small, cheapest, load_generator, same
from gdbench.testing.results import Check, Failed, Skipped, Unusable, expect
from gdbench.tiers import CAPS

MEMBERS = ("__len__", "space", "displace", "save")
RESERVED = ("calibrate", "select", "reconstruct", "metric", "saliency")
"""Beginnings of the purposes whose random numbers are for the evaluation alone (PROTOCOL, "Random streams")."""

PATIENCE = 3.0
"""Seconds of processor time after which the budget is left to the record of a real run."""

"""Images that the tier quick allows in discovery (PROTOCOL, "Budgets")."""


def checks(subject: str, case: MethodCase) -> Iterator[Check]:
    """The checks of a method; those of resuming and of the budget as its spec declares."""
    spec = case.offer.spec
    yield Check(subject, "M01", check_method_discovers, case)
    yield Check(subject, "M02", check_method_returns_k_directions, case)
    yield Check(subject, "M03", check_method_displaces_codes, case)
    yield Check(subject, "M04", check_method_zero_magnitude, case)
    if spec.shape == "linear":
        yield Check(subject, "M05", check_method_is_straight, case)
    yield Check(subject, "M06", check_method_repeats, case)
    if spec.deterministic:
        yield Check(subject, "M07", check_method_ignores_the_seed, case)
    yield Check(subject, "M08", check_method_leaves_the_generator_alone, case)
    yield Check(subject, "M09", check_method_directions_survive_saving, case)
    yield Check(subject, "M10", check_method_saves_plain_files, case)
    yield Check(subject, "M11", check_method_keeps_off_evaluation_streams, case)
    yield Check(subject, "M12", check_method_quick_budget, case)
    if spec.learned:
        yield Check(subject, "M13", check_method_resumes, case)
    yield Check(subject, "M14", check_method_uses_no_global_random_state, case)
    yield Check(subject, "M15", check_method_leaves_the_process_alone, case)
    if spec.shape == "curved" or spec.curved_with:
        yield Check(subject, "M16", check_method_is_curved, case)
    if spec.spaces:
        yield Check(subject, "M17", check_method_spaces, case)
    yield Check(subject, "M18", check_method_takes_small_grey_images, case)
    yield Check(subject, "M19", check_method_optional_members, case)


def check_method_discovers(case: MethodCase) -> None:
    """Discovery with smoke parameters ends, and returns an object with the members of Directions."""
    try:
        found = case.found
    except Unusable as error:
        expect(False, f"discover raised {error}")
    missing = [name for name in MEMBERS if not hasattr(found, name)]
    expect(not missing, f"the directions ({type(found).__name__}) have no {', '.join(missing)}")


def check_method_returns_k_directions(case: MethodCase) -> None:
    """There are context.k directions, in context.space."""
    found, space = case.found, case.space
    expect(len(found) == K, f"asked for {K} directions, got {len(found)}")
    expect(found.space == space, f"asked for space {space!r}, got {found.space!r}")


def check_method_displaces_codes(case: MethodCase) -> None:
    """displace gives finite codes of the same shape, type, space and labels, for either sign."""
    codes, moved = _moved(case, 1.5)
    before, after = codes.latents, moved.latents
    expect(after.shape == before.shape, f"codes of shape {tuple(before.shape)} became {tuple(after.shape)}")
    expect(after.dtype == before.dtype, f"codes of {before.dtype} became {after.dtype}")
    expect(bool(torch.isfinite(after).all()), "displaced codes hold NaN or infinite values")
    expect(moved.space == codes.space, f"codes of {codes.space!r} moved to {moved.space!r}")
    expect((moved.labels is None) == (codes.labels is None), "displace changed the labels")


def check_method_zero_magnitude(case: MethodCase) -> None:
    """A displacement of magnitude zero changes nothing."""
    codes, moved = _moved(case, 0.0)
    apart = float((moved.latents - codes.latents).nan_to_num().abs().max())
    expect(apart < 1e-5, f"magnitude 0 moved a latent by {apart:.2g}")


def check_method_is_straight(case: MethodCase) -> None:
    """Shape linear: twice the magnitude is twice the displacement, the same for every code, of that length or none."""
    bend = _bend(case, case.found)
    expect(not bend, f"{bend}: declare shape='curved'")


def check_method_is_curved(case: MethodCase) -> None:
    """Shape curved, or values in curved_with: not proportional to the magnitude, or not the same for every code."""
    if case.offer.spec.shape == "curved":
        expect(bool(_bend(case, case.found)), "the directions are straight: declare shape='linear'")
    for name, values in case.offer.spec.curved_with.items():
        for value in values:
            found = case.discover(changed={name: value})
            expect(bool(_bend(case, found)), f"with {name}={value} the directions are straight")


def _bend(case: MethodCase, found: Directions) -> str:
    """What is not straight about ``found``, or ""."""
    steps = []
    for magnitude in (1.0, 2.0, -1.0):
        codes, moved = _moved(case, magnitude, found)
        steps.append((moved.latents - codes.latents).nan_to_num().double())
    one, two, back = steps
    tolerance = 1e-4 * (1 + float(one.abs().max()))
    if not (torch.allclose(two, 2 * one, atol=tolerance) and torch.allclose(back, -one, atol=tolerance)):
        return "displacement is not proportional to the magnitude"
    by_code = one.reshape(len(found), -1, *one.shape[1:])
    same_everywhere = torch.allclose(by_code, by_code[:, :1].expand_as(by_code), atol=tolerance)
    return "" if same_everywhere else "displacement depends on the code"


def check_method_spaces(case: MethodCase) -> None:
    """In each space that it declares, and that an installed generator has, it finds directions of that space."""
    for space in case.offer.spec.spaces:
        try:
            partner = cheapest(case.registry, case.offer.spec.needs, (space,))
        except Skipped:
            continue
        try:
            found = case.discover(generator=load_generator(partner.spec), space=space)
        except Unusable as error:
            raise Failed(f"declares space {space}, but on {partner.spec.name} discover raised {error}") from None
        expect(found.space == space, f"declares space {space}, but there finds directions in {found.space}")


def check_method_takes_small_grey_images(case: MethodCase) -> None:
    """It finds K directions of a generator of grey 24 x 24 images too."""
    case.found  # noqa: B018 : where discovery raises anyway, another clause says so
    try:
        found = case.discover(generator=Small(case.generator()))
    except Unusable as error:
        raise Failed(f"on images of 1 x 24 x 24 discover raised {error}") from error
    if len(case.found) == K:
        expect(len(found) == K, f"on images of 1 x 24 x 24 it finds {len(found)} directions")


def check_method_optional_members(case: MethodCase) -> None:
    """What the directions have beside fits: unit is None or a finite length for each, code_dependent is True."""
    found = case.found
    if isinstance(found, StepLengths) and (unit := found.unit) is not None:
        expect(tuple(unit.shape) == (len(found),), f"unit has shape {tuple(unit.shape)}, expected ({len(found)},)")
        expect(bool((unit >= 0).all() and torch.isfinite(unit).all()), "unit holds lengths below 0 or not finite")
    if isinstance(found, CodeDependent):
        expect(found.code_dependent is True, f"code_dependent is {found.code_dependent!r}: leave it out where not True")


def check_method_repeats(case: MethodCase) -> None:
    """The same seed finds the same directions bit for bit."""
    expect(case.observed.repeats(partial(_alike, case)), "two discoveries with one seed differ")


def check_method_ignores_the_seed(case: MethodCase) -> None:
    """Deterministic: another seed finds the same directions."""
    expect(_alike(case, case.found, case.discover(seed=1)), "seed 1 finds other directions")


def check_method_leaves_the_generator_alone(case: MethodCase) -> None:
    """Discovery leaves the generator rendering the same images, with frozen parameters."""
    generator, codes = case.generator(), case.codes()
    before = generator.render(codes).detach()
    case.discover(generator=generator)
    after = generator.render(codes)
    expect(same(before, after.detach()), "the generator renders other images than before")
    expect(not after.requires_grad, "the generator's parameters ask for gradients now")


def check_method_directions_survive_saving(case: MethodCase) -> None:
    """What save writes, load reads back to equal displacements."""
    with tempfile.TemporaryDirectory() as folder:
        case.found.save(Path(folder))
        try:
            loaded = load_directions(Path(folder), case.registry.packages, case.generator())
        except (GdbenchError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise Failed(f"saved directions cannot be read: {type(error).__name__}: {error}") from None
        expect(_alike(case, case.found, loaded), "directions differ after saving and loading")


def check_method_saves_plain_files(case: MethodCase) -> None:
    """Directions are saved as safetensors and JSON only: no file can run code."""
    with tempfile.TemporaryDirectory() as folder:
        case.found.save(Path(folder))
        strange = [path.name for path in Path(folder).rglob("*") if path.suffix not in (".safetensors", ".json")]
        expect(not strange, f"save wrote {', '.join(strange)}")


def check_method_keeps_off_evaluation_streams(case: MethodCase) -> None:
    """Discovery takes its random numbers from context.stream("discover") or its parts, never the evaluation's."""
    purposes: list[str] = []

    class Watched(Context):
        def stream(self, purpose: str) -> Stream:
            purposes.append(purpose)
            return super().stream(purpose)

    case.discover(context=Watched)
    taken = sorted({purpose for purpose in purposes if purpose.startswith(RESERVED)})
    expect(not taken, f"discovery draws from {', '.join(taken)}: its scores would be measured on what it saw")


def check_method_quick_budget(case: MethodCase) -> None:
    """The tier quick renders at most 100,000 images in discovery; learned methods are counted in their records."""
    if case.offer.spec.learned:
        raise Skipped("a learned method's quick run takes minutes; its record counts the images")
    counted = _Timed(case.generator())
    try:
        case.discover(generator=counted, tier="quick")
    except Interrupt:
        raise Skipped(f"a quick run takes more than {PATIENCE:.0f} s; its record counts the images") from None
    expect(counted.images <= CAPS["quick"], f"rendered {counted.images:,} images")


def check_method_resumes(case: MethodCase) -> None:
    """Learned: interrupted after a resume point was saved, the same call goes on and ends bit for bit the same."""
    with tempfile.TemporaryDirectory() as folder:
        resume = ResumePoint(Path(folder) / "resume.pt", every=0.0)
        try:
            case.discover(reporter=_Interrupting(resume), resume=resume)
        except Interrupt:
            pass
        else:
            raise Failed("with resume.every = 0 nothing was saved before the last progress report: smoke too short?")
        follower = _Following()
        resumed = case.discover(reporter=follower, resume=resume)
    expect(follower.done > 0, "the second call began at step 0: context.resume.load() was not used")
    expect(_alike(case, case.found, resumed), "resumed and uninterrupted discovery differ")


def check_method_uses_no_global_random_state(case: MethodCase) -> None:
    """Discovery neither draws from nor seeds torch's, numpy's or Python's global generators."""
    observed = case.observed
    expect(not observed.random, f"{', '.join(observed.random)} changed")
    expect(not observed.uses_global_seed(partial(_alike, case)), "the global seed changes the directions")


def check_method_leaves_the_process_alone(case: MethodCase) -> None:
    """Threads, gradient mode, default dtype, working directory and environment stay as they were."""
    expect(not case.observed.process, f"{', '.join(case.observed.process)} changed")


def _moved(case: MethodCase, magnitude: float, directions: Directions | None = None) -> tuple[Codes, Codes]:
    """Codes repeated for each direction, (K * n, ...), and the same displaced by ``magnitude``."""
    found, codes = directions or case.found, case.codes()
    n, k = len(codes), len(found)
    many = codes[torch.arange(n).repeat(k)]
    with torch.no_grad():
        return many, found.displace(many, torch.arange(k).repeat_interleave(n), torch.full((k * n,), magnitude))


def _alike(case: MethodCase, a: Directions, b: Directions) -> bool:
    """Whether two sets of directions do the same to some codes, both signs: all that a metric can see of them."""
    return all(same(_moved(case, t, a)[1].latents, _moved(case, t, b)[1].latents) for t in (1.5, -0.7))


class _Timed(Counted):
    """A counted generator that interrupts a method that takes too long for a check."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)
        self._end = time.process_time() + PATIENCE

    def render(self, codes: Codes) -> Tensor:
        if time.process_time() > self._end:
            raise Interrupt
        return super().render(codes)


class _Following:
    """A reporter that notes with how many finished steps a task begins."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, steps: int = 1, **numbers: float) -> None: ...

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Task]:
        self.done = max(self.done, done)
        yield self

    def log(self, text: str) -> None: ...


class _Interrupting(_Following):
    """A reporter that interrupts at the first progress after a resume point exists."""

    def __init__(self, resume: ResumePoint) -> None:
        super().__init__()
        self._resume = resume

    def advance(self, steps: int = 1, **numbers: Any) -> None:
        if self._resume.path is not None and self._resume.path.exists():
            raise Interrupt
