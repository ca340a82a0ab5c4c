"""What the checks look at: an offer with its smoke parameters, and partners of the other kinds to meet it.

Methods and metrics are tried on the cheapest installed generator that provides what they need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.context import SILENT, Context, Reporter, ResumePoint
from gdbench.directions import LinearDirections
from gdbench.errors import MissingFile
from gdbench.evaluation.calibration import Calibration, calibrate
from gdbench.evaluation.perception import fitted
from gdbench.evaluation.prior import Moments, moments
from gdbench.evaluation.subject import Subject
from gdbench.params import build
from gdbench.protocols import Directions, Domain, Generator, Scores
from gdbench.registry import Offer, Registry
from gdbench.specs import DomainSpec, EngineSpec, GeneratorSpec, MethodSpec, MetricSpec, resolve
from gdbench.streams import Stream, normal
from gdbench.testing.isolation import Observed, observe
from gdbench.testing.results import Skipped, Unusable, describe
from gdbench.weights.checkpoints import Resolved, default_folder, find

CPU = torch.device("cpu")
CODES = 4
K = 4

T = TypeVar("T")


@dataclass(frozen=True)
class PluginCase:
    """Any offer, for the clauses that hold for every kind."""

    offer: Offer[Any]
    registry: Registry


@dataclass(frozen=True)
class EngineCase:
    """An engine with its smoke parameters."""

    offer: Offer[EngineSpec]
    registry: Registry


@dataclass(frozen=True)
class GeneratorCase:
    """A generator with its smoke parameters and default weights; ``load`` gives a fresh one for each check."""

    offer: Offer[GeneratorSpec]
    registry: Registry

    def load(self) -> Generator:
        """The generator. Raises Skipped where its weights are not on this machine."""
        return load_generator(self.offer.spec)

    def codes(self, generator: Generator, n: int = CODES) -> Codes:
        """Codes of the default space."""
        return sampled(generator, n)


@dataclass(frozen=True)
class MethodCase:
    """A method with its smoke parameters, and the generator it is tried on."""

    offer: Offer[MethodSpec]
    registry: Registry

    @cached_property
    def partner(self) -> Offer[GeneratorSpec]:
        """The cheapest generator on which the method can run."""
        return cheapest(self.registry, self.offer.spec.needs, self.offer.spec.spaces)

    @property
    def space(self) -> str:
        """The first space of the partner in which the method works."""
        offered, wanted = self.partner.spec.spaces, self.offer.spec.spaces
        return next(space for space in offered if not wanted or space in wanted)

    def generator(self) -> Generator:
        """The partner, loaded."""
        return load_generator(self.partner.spec)

    def codes(self) -> Codes:
        """Codes on which directions are compared."""
        return sampled(self.generator(), CODES, self.space)

    @cached_property
    def observed(self) -> Observed[Directions]:
        """What the method finds with seed 0, and what else it does. Raises Unusable when it raises."""
        loaded = [self.generator() for _ in range(3)]  # before: what loading does is not the method's doing
        return observe(lambda: self.discover(generator=loaded.pop()))

    @property
    def found(self) -> Directions:
        """What the method finds with seed 0. Raises Unusable when it raises."""
        return self.observed.value

    def discover(
        self,
        seed: int = 0,
        generator: Generator | None = None,
        reporter: Reporter = SILENT,
        resume: ResumePoint | None = None,
        context: Callable[..., Context] = Context,
        tier: str = "smoke",
        space: str | None = None,
        changed: Mapping[str, Any] | None = None,
    ) -> Directions:
        """Run the method with K = 4. Raises Unusable when it raises, and what ``reporter`` raises.

        changed: values of parameters in place of the tier's.
        """
        spec = self.offer.spec
        generator = generator or self.generator()
        domain = load_domain(self.registry, generator.domain) if "domain" in spec.needs else None
        values = spec.smoke if tier == "smoke" else spec.tiers.get(tier, {})
        made = context(
            seed=seed,
            device=CPU,
            k=K,
            space=space or self.space,
            tier=tier,
            domain=domain,
            reporter=reporter,
            resume=resume or ResumePoint(),
        )
        directions: Directions = usable(
            lambda: resolve(spec.discover)(generator, build(spec.params, values, changed or {}, where=spec.name), made)
        )
        return directions


@dataclass(frozen=True)
class MetricCase:
    """A metric with its smoke parameters, and a subject of random directions on the cheapest generator.

    small: the generator's images are made 24 x 24 and grey.
    """

    offer: Offer[MetricSpec]
    registry: Registry
    small: bool = False

    @cached_property
    def generator(self) -> Generator:
        """The partner, loaded."""
        loaded = load_generator(cheapest(self.registry, self.offer.spec.needs).spec)
        return Small(loaded) if self.small else loaded

    @cached_property
    def moments(self) -> Moments:
        """The moments of its default space."""
        return moments(self.generator, self.generator.spaces[0], samples=4_000)

    @cached_property
    def domain(self) -> Domain:
        """The partner's domain."""
        return load_domain(self.registry, self.generator.domain)

    @cached_property
    def directions(self) -> LinearDirections:
        """Random directions."""
        space = self.generator.spaces[0]
        return LinearDirections(normal(Stream(0, "check").at(), K, self.generator.dim(space)), space)

    @cached_property
    def dead(self) -> LinearDirections:
        """Directions that do nothing."""
        return LinearDirections(torch.zeros_like(self.directions.vectors), self.directions.space)

    @cached_property
    def calibrations(self) -> dict[int, Calibration]:
        """Calibrations made so far, by the identity of their directions."""
        return {}

    def subject(self, directions: LinearDirections | None = None) -> Subject:
        """A fresh subject, which has rendered nothing yet."""
        directions = directions or self.directions
        if id(directions) not in self.calibrations:
            self.calibrations[id(directions)] = calibrate(
                self.generator, directions, self.domain.oracle("a"), self.moments, Stream(0, "calibrate"), codes=8
            )
        calibration = self.calibrations[id(directions)]
        return Subject(self.generator, directions, calibration, self.domain, self.moments, seed=0, n=16)

    @cached_property
    def observed(self) -> Observed[Scores]:
        """What the metric measures, and what else it does. Raises Unusable when it raises."""
        return observe(self.measure)

    @property
    def scores(self) -> Scores:
        """What the metric measures. Raises Unusable when it raises."""
        return self.observed.value

    def measure(self, directions: LinearDirections | None = None) -> Scores:
        """Run the metric. Raises Unusable when it raises."""
        spec, subject = self.offer.spec, self.subject(directions)
        context = Context(0, CPU, K, subject.space, "smoke", subject.domain)
        scores: Scores = usable(
            lambda: resolve(spec.measure)(subject, build(spec.params, spec.smoke, where=spec.name), context)
        )
        return scores


@dataclass(frozen=True)
class DomainCase:
    """A domain; ``load`` gives a fresh one for each check."""

    offer: Offer[DomainSpec]
    registry: Registry

    def load(self) -> Domain:
        """The domain. Raises Unusable when it raises."""
        return load_domain(self.registry, self.offer.spec.name)


def usable(build_it: Callable[[], T]) -> T:
    """The result; a plugin's error becomes Unusable, so that only the clause about it fails."""
    try:
        return build_it()
    except (MissingFile, Skipped, Interrupt):
        raise
    except Exception as error:
        raise Unusable(describe(error)) from error


class Small:
    """A generator whose images are made 24 x 24 and grey; everything else is its own."""

    image_shape = (1, 24, 24)

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def render(self, codes: Codes) -> Tensor:
        """The generator's images, resized."""
        return fitted(self._generator.render(codes), self.image_shape)


class Interrupt(Exception):
    """Raised by a check inside a plugin, as if the user had stopped it."""


def located(spec: GeneratorSpec) -> Resolved:
    """The generator's default weights. Raises Skipped where they are not on this machine."""
    try:
        return find(spec, None, default_folder(), offline=True)
    except MissingFile as missing:
        raise Skipped(str(missing)) from None


def load_generator(spec: GeneratorSpec) -> Generator:
    """The generator with its default weights and smoke parameters. Raises Skipped, or Unusable when it raises."""
    path = located(spec).path
    generator: Generator = usable(
        lambda: resolve(spec.load)(path, build(spec.params, spec.smoke, where=spec.name), CPU)
    )
    return generator


def load_domain(registry: Registry, name: str) -> Domain:
    """An installed domain. Raises Skipped where none has this name, Unusable when it raises."""
    if name not in registry.domains:
        raise Skipped(f"no installed plugin offers the domain {name!r}")
    domain: Domain = usable(lambda: resolve(registry.domain(name).spec.load)(CPU))
    return domain


def cheapest(registry: Registry, needs: Iterable[str], spaces: Collection[str] = ()) -> Offer[GeneratorSpec]:
    """The generator that provides ``needs`` and has one of ``spaces``: without weights, or with the smallest shipped.

    What the user has downloaded is no partner, so that a check means the same everywhere. Raises Skipped.
    """
    sizes = {name: _size(offer.spec, set(needs), registry) for name, offer in registry.generators.items()}
    fitting = [
        name
        for name, size in sizes.items()
        if size is not None and (not spaces or set(spaces) & set(registry.generator(name).spec.spaces))
    ]
    if not fitting:
        wanted = ", ".join([*needs, *(f"space {space}" for space in spaces)])
        raise Skipped(f"no installed generator provides {wanted or 'an image'} without a download")
    return registry.generator(min(fitting, key=lambda name: sizes[name] or 0))


def _size(spec: GeneratorSpec, needs: set[str], registry: Registry) -> int | None:
    """Bytes of the weights with which a generator can be a partner, or None where it cannot."""
    shipped = [card for card in spec.checkpoints if card.shipped]
    weightless = not spec.checkpoints and spec.recognise is None and spec.domain is not None
    name = shipped[0].domain if shipped else spec.domain
    if not (shipped or weightless) or name not in registry.domains:
        return None
    offered = {*spec.provides, *registry.domain(str(name)).spec.offers, "domain"}
    return sum(card.size or 0 for card in shipped) if needs <= offered else None


def sampled(generator: Generator, n: int, space: str | None = None) -> Codes:
    """``n`` codes of ``space``, or of the default one, always the same."""
    return generator.sample(n, space or generator.spaces[0], Stream(0, "check/codes").at())


def same(a: Tensor, b: Tensor) -> bool:
    """Bit equality of shape, type and values, where NaN equals NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())
