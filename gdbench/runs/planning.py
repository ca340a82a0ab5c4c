"""Planning: a request resolved against what is installed, before anything heavy is loaded."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench.errors import MissingFile, UsageError
from gdbench.own import with_own
from gdbench.params import as_plain, build
from gdbench.places import at, raised_at
from gdbench.record import DISCOVERY, EVALUATION, Cell, RunRecord, digits
from gdbench.registry import Offer, Registry
from gdbench.runs.device import pick_device
from gdbench.runs.request import FILES, RunRequest
from gdbench.specs import CAPABILITIES, OFFERS, DomainSpec, GeneratorSpec, MethodSpec, MetricSpec, resolve
from gdbench.weights import checkpoints as store
from gdbench.weights.extra_files import all_present, checked

if TYPE_CHECKING:
    from gdbench.weights.checkpoints import Resolved


@dataclass(frozen=True)
class Plan:
    """A request resolved against what is installed: specs, typed parameters, weights. Nothing heavy is loaded yet.

    incompatible: why this generator and method cannot meet, or "".
    """

    request: RunRequest
    generator: Offer[GeneratorSpec]
    method: Offer[MethodSpec]
    metrics: tuple[Offer[MetricSpec], ...]
    domain: Offer[DomainSpec]
    checkpoint: Resolved
    generator_params: Any
    method_params: Any
    metric_params: Mapping[str, Any]
    cell: Cell
    id: str
    incompatible: str = ""

    @property
    def versions(self) -> dict[str, int]:
        """The versions behind the directions and their evaluation, without those of metrics."""
        return {
            "discovery": DISCOVERY,
            "evaluation": EVALUATION,
            "generator": self.generator.spec.version,
            "method": self.method.spec.version,
            "domain": self.domain.spec.version,
        }

    @property
    def decisive(self) -> dict[str, int]:
        """The versions that decide the directions; that of the domain only where the method looks at its images."""
        kinds = ["discovery", "generator", "method"]
        if {"domain", *self.domain.spec.offers} & {*self.method.spec.needs}:
            kinds.append("domain")
        return {kind: self.versions[kind] for kind in kinds}

    @property
    def command_here(self) -> str:
        """The command that asks for this run again on this machine: with its folder and plugin files."""
        offers: tuple[Offer[Any], ...] = (self.generator, self.method, self.domain, *self.metrics)
        files = dict.fromkeys(offer.provider.file for offer in offers if offer.provider.file)
        return self.request.command(self.request.out, files)

    @property
    def fingerprint(self) -> str:
        """What tells images and oracles from others: weights, parameters, versions, domain. Empty without weights."""
        if not self.checkpoint.sha256:
            return ""
        versions = {name: self.versions[name] for name in ("generator", "domain")}
        decides = [self.checkpoint.sha256, as_plain(self.generator_params), self.domain.spec.name, versions]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def plan(
    request: RunRequest, registry: Registry, checkpoints: Path | None = None, found: Resolved | None = None
) -> Plan:
    """Resolve a request. Raises UsageError (names, values) and MissingFile (weights), before anything is computed.

    found: the weights of the request, where they were looked for and compared with their hash already.
    """
    if request.device.startswith("cuda"):
        pick_device(request.device)  # a device that is not here is told before anything is written
    registry = with_own(registry, request.gan)
    generator, method = registry.generator(request.gan), registry.method(request.method)
    found = found or _weights(request, registry, checkpoints)
    domain = domain_of(registry, generator.spec, found, request.domain)
    _has_files(domain.spec, registry, checkpoints)
    domain = _attributed(domain, request, registry)
    metrics = _metrics(registry, request.metrics)
    generator_params, method_params = _typed(request, registry)
    cell = replace(cell_of(request, registry, found.name), domain=_other_domain(generator.spec, found, domain.spec))
    made = Plan(
        request=request,
        generator=generator,
        method=method,
        metrics=metrics,
        domain=domain,
        checkpoint=found,
        generator_params=generator_params,
        method_params=method_params,
        metric_params={
            offer.spec.name: _parameters(
                offer.spec, request.tier, request.metric_params.get(offer.spec.name, {}), f"metric {offer.spec.name}"
            )
            for offer in metrics
        },
        cell=cell,
        id="",
        incompatible=_incompatible(generator.spec, method, domain.spec, cell.space),
    )
    return replace(made, id=_identity(made))


def _weights(request: RunRequest, registry: Registry, checkpoints: Path | None = None) -> Resolved:
    spec = registry.generator(request.gan).spec
    return store.find(spec, request.checkpoint, checkpoints or store.default_folder(), request.offline)


def cell_of(request: RunRequest, registry: Registry, checkpoint: str) -> Cell:
    """The cell that a request means, on the checkpoint of this name; needs no weights. Raises UsageError."""
    spec = registry.generator(request.gan).spec
    space = request.space or spec.spaces[0]
    base, colon, _ = space.partition(":")
    if base not in spec.spaces:
        raise UsageError(f"{request.gan} has no space {space!r}; it has {', '.join(spec.spaces)}")
    if colon and "layers" not in spec.provides:
        raise UsageError(f"{request.gan} has no layers to which directions could be restricted, as {space} asks")
    generator_params, method_params = _typed(request, registry)
    return Cell(
        generator=Path(request.gan).name,
        checkpoint=checkpoint,
        method=request.method,
        seed=request.seed,
        k=request.k,
        space=space,
        tier=request.tier,
        generator_params=as_plain(generator_params),
        method_params=as_plain(method_params),
    )


def _typed(request: RunRequest, registry: Registry) -> tuple[Any, Any]:
    """The parameters of generator and method. Raises UsageError."""
    generator, method = registry.generator(request.gan).spec, registry.method(request.method).spec
    return (
        build(generator.params, request.generator_params, where=f"generator {request.gan}"),
        _parameters(method, request.tier, request.method_params, f"method {request.method}"),
    )


def plan_all(requests: Sequence[RunRequest], registry: Registry) -> list[Plan]:
    """The plans of many requests. Raises one MissingFile that names every file that is missing, or UsageError."""
    plans, missing = [], dict[str, None]()
    found: dict[tuple[str, str | None], Resolved] = {}  # each file of weights is hashed once
    for request in requests:
        key = request.gan, request.checkpoint
        try:
            found[key] = found.get(key) or _weights(request, registry)
            plans.append(plan(request, registry, found=found[key]))
        except MissingFile as error:
            missing[str(error)] = None
    if missing:
        raise MissingFile("; ".join(missing))
    return plans


def domain_of(registry: Registry, spec: GeneratorSpec, found: Resolved, asked: str | None) -> Offer[DomainSpec]:
    """The domain of weights, or the one that is asked for. Raises UsageError, or MissingFile where none is known."""
    if asked is not None:
        return registry.domain(asked)
    name = _usual_domain(spec, found)
    if name is None or name not in registry.domains:
        known = ", ".join(registry.domains) or "none"
        raise MissingFile(
            f"{spec.name}/{found.name}: no installed plugin knows its domain {name!r}, so visible change cannot be "
            f"calibrated; say another, for this run or when you import its file: --domain NAME; domains: {known}"
        )
    return registry.domain(name)


def _attributed(domain: Offer[DomainSpec], request: RunRequest, registry: Registry) -> Offer[DomainSpec]:
    """The domain, with the factors that the request's model reads where there is one."""
    given = {name: Path(value) for name in FILES if (value := getattr(request, name)) is not None}
    if not given:
        return domain
    if "attributes" not in given:
        raise UsageError("--attribute-names, --attribute-check and --real-images belong to --attributes FILE")
    for name, path in given.items():
        if not path.exists():
            raise MissingFile(f"--{name.replace('_', '-')} {path}: nothing here has this name")
    from gdbench.evaluation.attributes import Attributes, attributed

    extras = registry.extra_files()
    model, *others = (given.get(name) for name in FILES)
    assert model is not None
    return attributed(
        domain, Attributes(model, *others), lambda name: checked(extras[name]) if name in extras else None
    )


def _usual_domain(spec: GeneratorSpec, found: Resolved) -> str | None:
    """What the images show, as the card of the weights or the family says."""
    return found.checkpoint.domain if found.checkpoint else spec.domain


def _other_domain(spec: GeneratorSpec, found: Resolved, domain: DomainSpec) -> str:
    """The domain of a run that takes the images to show something else than the card says; "" of any other run."""
    return domain.name if domain.name != _usual_domain(spec, found) else ""


def _has_files(domain: DomainSpec, registry: Registry, checkpoints: Path | None) -> None:
    """Raise MissingFile for files of the domain that are not here; it says what can be done without them."""
    try:
        all_present(domain.files, checkpoints)
    except MissingFile as error:
        free = next((name for name, offer in registry.domains.items() if offer.spec.unranked), "")
        instead = f"; to look at directions without any file: --domain {free} (not ranked)" if free else ""
        raise MissingFile(f"{error}{instead}") from None


def _metrics(registry: Registry, names: Sequence[str]) -> tuple[Offer[MetricSpec], ...]:
    if "all" in names:
        return tuple(registry.metrics.values())
    if names:
        asked = dict.fromkeys(names)
        needed = (other for name in names for other in registry.metric(name).spec.measured_with)
        return tuple(registry.metric(name) for name in asked | dict.fromkeys(needed))
    return tuple(offer for offer in registry.metrics.values() if offer.spec.default)


def _parameters(spec: MethodSpec | MetricSpec, tier: str, given: Mapping[str, Any], where: str) -> Any:
    return build(spec.params, spec.smoke if tier == "smoke" else spec.tiers.get(tier, {}), given, where=where)


def _incompatible(generator: GeneratorSpec, offer: Offer[MethodSpec], domain: DomainSpec, space: str) -> str:
    method = offer.spec
    if missing := _missing(method.needs, generator, domain):
        return f"{method.name} needs {', '.join(missing)}, which {generator.name} does not provide"
    if method.spaces and space.partition(":")[0] not in method.spaces:
        return f"{method.name} works in {' and '.join(method.spaces)}, not in {space}"
    return _own_reason(offer, generator, domain) if method.compatible is not None else ""


def _own_reason(offer: Offer[MethodSpec], generator: GeneratorSpec, domain: DomainSpec) -> str:
    """Why the method itself says that it cannot run here, or ""; what it raises is a reason too, not the end of all."""
    assert offer.spec.compatible is not None
    named = f"compatible of method {offer.spec.name}, {offer.provider}"
    try:
        reason = resolve(offer.spec.compatible)(generator, domain)
    except Exception as error:
        place = raised_at(error, offer.provider.package)
        return at(f"{named}: raised {type(error).__name__}: {' '.join(str(error).split())}", place)
    if not isinstance(reason, str):
        return at(f"{named}: must give text, got {type(reason).__name__}", offer.place)
    return f"{offer.spec.name}: {' '.join(reason.split())}" if reason else ""


def lacking(needs: Sequence[str], generator: GeneratorSpec, domain: DomainSpec) -> str:
    """Why a metric cannot measure here: what it needs of a generator or domain that lacks it, or ""."""
    missing = _missing(needs, generator, domain)
    if not missing:
        return ""
    whose = "domain" if set(missing) <= set(OFFERS) else "generator" if set(missing) <= set(CAPABILITIES) else ""
    return f"this {whose or 'generator and its domain'} {'has' if whose else 'have'} no {', '.join(missing)}"


def _missing(needs: Sequence[str], generator: GeneratorSpec, domain: DomainSpec) -> list[str]:
    offered = {*generator.provides, *domain.offers, "domain"}
    return [need for need in needs if need not in offered]


def _identity(plan: Plan) -> str:
    """A readable name and a hash of everything that decides the directions."""
    cell = plan.cell
    hashed = digits(cell, plan.decisive, plan.checkpoint.sha256)
    return f"{cell.generator.replace(':', '-')}-{cell.checkpoint}-{cell.method}-s{cell.seed}-{hashed}"


def request_of(record: RunRecord, out: Path, metrics: Sequence[str]) -> RunRequest:
    """The request that repeats a record's cell. Files behind its attributes are those of the same names in the working
    directory: no record knows their folders."""
    cell = record.cell
    files = _options_of(record.command, FILES)
    domain = _options_of(record.command, ("domain",)).get("domain") if files else cell.domain or None
    return RunRequest(
        gan=cell.generator,
        method=cell.method,
        checkpoint=None if cell.checkpoint == "none" else cell.checkpoint,
        space=cell.space,
        k=cell.k,
        seed=cell.seed,
        tier=cell.tier,  # type: ignore[arg-type]
        metrics=tuple(metrics),
        method_params=cell.method_params,
        generator_params=cell.generator_params,
        out=out,
        domain=domain,
        **files,
    )


def _options_of(command: str, names: Iterable[str]) -> dict[str, Any]:
    """The values of options in a command that was recorded, without folders, by name of the field."""
    try:
        words = shlex.split(command)
    except ValueError:  # a stranger's
        return {}
    flags = {f"--{name.replace('_', '-')}": name for name in names}
    return {flags[word]: Path(value).name for word, value in pairwise(words) if word in flags}
