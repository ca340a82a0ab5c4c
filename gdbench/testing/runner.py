"""Which checks an offer must pass, and the loop that runs them without pytest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gdbench.chatter import apart
from gdbench.errors import unknown
from gdbench.registry import Offer, Provider, Registry
from gdbench.specs import CAPABILITIES, Column, DomainSpec, EngineSpec, GeneratorSpec, MethodSpec, MetricSpec
from gdbench.testing.results import Check, CheckResult

if TYPE_CHECKING:
    from gdbench.context import Reporter


def checks(offer: Offer[Any], registry: Registry) -> Iterator[Check]:
    """The checks of an offer, chosen by its kind and by what its spec declares."""
    from gdbench.testing import (
        checks_domain,
        checks_engine,
        checks_generator,
        checks_method,
        checks_metric,
        checks_plugin,
    )
    from gdbench.testing.cases import DomainCase, EngineCase, GeneratorCase, MethodCase, MetricCase, PluginCase

    spec = offer.spec
    subject = f"{_kind(spec)} {spec.name}"
    yield from checks_plugin.checks(subject, PluginCase(offer, registry))
    if isinstance(spec, GeneratorSpec):
        yield from checks_generator.checks(subject, GeneratorCase(offer, registry))
    elif isinstance(spec, MethodSpec):
        yield from checks_method.checks(subject, MethodCase(offer, registry))
    elif isinstance(spec, MetricSpec):
        yield from checks_metric.checks(subject, MetricCase(offer, registry))
    elif isinstance(spec, EngineSpec):
        yield from checks_engine.checks(subject, EngineCase(offer, registry))
    else:
        yield from checks_domain.checks(subject, DomainCase(offer, registry))


def run_checks(
    offer: Offer[Any],
    registry: Registry,
    reporter: Reporter | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[CheckResult]:
    """The outcome of every check of an offer; what a plugin prints is discarded.

    expected_failures: name of a check -> why it must fail. Raises UsageError when a name is no check of this offer.
    """
    from gdbench.context import SILENT

    todo = list(checks(offer, registry))
    announced = dict(expected_failures or {})
    for name in announced:
        if name not in {check.name for check in todo}:
            raise unknown("check", name, {check.name for check in todo})
    results = []
    with (reporter or SILENT).task(f"check {offer.spec.name}", len(todo)) as task:
        for check in todo:
            with apart(lambda line: None):
                results.append(check.run(announced.get(check.name)))
            task.advance()
    return results


def check_plugin(name: str, registry: Registry, reporter: Reporter | None = None) -> list[CheckResult]:
    """Check everything that is offered under ``name``, or by the plugin ``name``; a broken plugin is one failure.

    Raises UsageError when nothing has this name.
    """
    broken = [
        CheckResult(f"plugin {fault.name}", "P01", "check_plugin_loads", "failed", fault.reason)
        for fault in registry.broken
        if name in (fault.name, fault.offer)
    ]
    chosen = _named(name, registry) if broken else offers(name, registry)
    return broken + [result for offer in chosen for result in run_checks(offer, registry, reporter)]


def clauses() -> list[tuple[str, str]]:
    """Number and name of every check, with its sentence: the checks of offers that declare all there is to declare."""
    empty = Registry({}, {}, {}, {}, (), (), frozenset())
    column = Column("score", "")
    specs = (
        GeneratorSpec("all", "", print, provides=CAPABILITIES),
        MethodSpec("all", "", print, learned=True, deterministic=True),
        MethodSpec("all", "", print, spaces=("z",), shape="curved"),
        MetricSpec("all", "", print, (column,)),
        DomainSpec("all", "", print, offers=("factors", "masks", "images")),
        EngineSpec("all", "", print),
    )
    found = {"P01 check_plugin_loads": "The plugin imports, and its hooks have the right names, arguments and results."}
    for spec in specs:
        for check in checks(Offer(spec, Provider("all", "", "")), empty):
            found[f"{check.clause} {check.name}"] = str(check.function.__doc__)
    return list(found.items())


def offers(name: str, registry: Registry) -> list[Offer[Any]]:
    """What is offered under ``name``, of any kind, or all that the plugin ``name`` offers. Raises UsageError."""
    found = _named(name, registry)
    if not found:
        raise unknown("plugin", name, {offer.spec.name for offer in _everything(registry)})
    return found


def _named(name: str, registry: Registry) -> list[Offer[Any]]:
    everything = _everything(registry)
    named = [offer for offer in everything if offer.spec.name == name]
    return named or [offer for offer in everything if offer.provider.plugin == name]


def _everything(registry: Registry) -> list[Offer[Any]]:
    return [offer for offers in registry.offers().values() for offer in offers.values()]


def _kind(spec: Any) -> str:
    return type(spec).__name__.removesuffix("Spec").lower()
