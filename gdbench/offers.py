"""Offers of plugins: who makes them, what is refused and why. The values that the registry is made of."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gdbench.errors import GdbenchError, PluginError, nearest
from gdbench.places import at, defined_at, raised_at
from gdbench.specs import KINDS, STANDARD, DomainSpec, EngineSpec, GeneratorSpec, MethodSpec, MetricSpec

BUILT_IN = "gdbench"
"""The distribution whose offers nobody can shadow."""

S = TypeVar("S", bound=GeneratorSpec | MethodSpec | MetricSpec | DomainSpec | EngineSpec)


FILE = "gdbench_file_"
"""How the module name of a plugin that is a single file begins."""


@dataclass(frozen=True)
class Provider:
    """Where an offer comes from: entry point or file name, distribution (or path of the file) and its version.

    package: the top-level module that holds its code, by which a line of a traceback is known to be its own.
    """

    plugin: str
    distribution: str
    version: str
    package: str = field(default="", compare=False)

    @property
    def file(self) -> str:
        """The path with which ``--plugin`` named it, "" for an installed plugin."""
        return self.distribution if self.package.startswith(FILE) else ""

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution} {self.version}".rstrip()


@dataclass(frozen=True)
class Offer(Generic[S]):
    """A spec and who offers it. place: file and line of the hook that yields it, "" where nobody knows."""

    spec: S
    provider: Provider
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, or one ``offer`` of it that was refused, with the reason."""

    name: str
    distribution: str
    version: str
    reason: str
    offer: str = ""

    def __str__(self) -> str:
        return f"{Provider(self.name, self.distribution, self.version)}: {self.reason}"


@dataclass(frozen=True)
class Implementation:
    """A plugin's answer to one hook: its function, called with the arguments that it takes."""

    provider: Provider
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    @property
    def place(self) -> str:
        """File and line of the function."""
        return defined_at(self.function)

    def __call__(self, **known: Any) -> Any:
        return self.function(*(known[name] for name in self.arguments))


@contextlib.contextmanager
def guard(provider: Provider, broken: list[Broken], offer: str = "", place: str = "") -> Iterator[None]:
    """Turn whatever a plugin raises, SystemExit too, into an entry of ``broken``; Ctrl-C stays what it is.

    place: file and line to name where the error came through no line of the plugin.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
        reason = text if isinstance(error, GdbenchError) else f"{type(error).__name__}: {text}".rstrip(": ")
        reason = at(reason, raised_at(error, provider.package) or place)
        broken.append(Broken(provider.plugin, provider.distribution, provider.version, reason, offer))


def collected(kind: str, implementations: Iterable[Implementation], broken: list[Broken]) -> Mapping[str, Offer[Any]]:
    """All offers of one kind (``"methods"``, ...) by name, without those whose name is taken."""
    found: defaultdict[str, list[Offer[Any]]] = defaultdict(list)
    for implementation in implementations:
        if implementation.hook != f"gdbench_{kind}":
            continue
        with guard(implementation.provider, broken, place=implementation.place):
            for spec in list(implementation()):
                with guard(implementation.provider, broken, place=implementation.place):
                    offer = Offer(_checked(spec, kind), implementation.provider, implementation.place)
                    found[offer.spec.name].append(offer)
    return {name: offer for name in sorted(found) for offer in _unique(found[name], kind, broken)}


def _checked(spec: Any, kind: str) -> Any:
    if not isinstance(spec, KINDS[kind]):
        raise PluginError(f"gdbench_{kind} must yield {KINDS[kind].__name__}, got {type(spec).__name__}")
    return spec


def _unique(offers: Sequence[Offer[Any]], kind: str, broken: list[Broken]) -> Sequence[Offer[Any]]:
    """The one offer that keeps its name, the only one or the built-in one; others are refused, both sides named."""
    built_in = [offer for offer in offers if offer.provider.distribution == BUILT_IN]
    kept = offers if len(offers) == 1 else built_in if len(built_in) == 1 else []
    for offer in offers:
        if offer not in kept:
            others = " and ".join(str(other.provider) for other in offers if other is not offer)
            with guard(offer.provider, broken, offer.spec.name, offer.place):
                raise PluginError(f"{kind[:-1]} {offer.spec.name!r} is also offered by {others}: rename or remove one")
    return kept


def with_known_needs(
    offers: Mapping[str, Mapping[str, Offer[Any]]], broken: list[Broken]
) -> Mapping[str, Mapping[str, Offer[Any]]]:
    """``offers`` by kind, without methods and metrics that need what nobody declares: a misspelling, or a plugin that
    is not installed. Without this, every run of them would be incompatible, and nobody would be told why."""
    provided = {name for offer in offers["generators"].values() for name in offer.spec.provides}
    known = {*STANDARD, *provided, *(name for offer in offers["domains"].values() for name in offer.spec.offers)}
    kept = dict(offers)
    for kind in ("methods", "metrics"):
        kept[kind] = {name: offer for name, offer in offers[kind].items() if _understood(kind, offer, known, broken)}
    return kept


def _understood(kind: str, offer: Offer[Any], known: Collection[str], broken: list[Broken]) -> bool:
    strange = [need for need in offer.spec.needs if need not in known]
    with guard(offer.provider, broken, offer.spec.name, offer.place):
        if strange:
            near = nearest(strange[0], sorted(known))
            hint = f"did you mean {near!r}? " if near else ""
            raise PluginError(
                f"{kind[:-1]} {offer.spec.name!r} needs {strange[0]!r}, which no generator provides and no domain "
                f"offers: {hint}known: {', '.join(sorted(known))}"
            )
    return not strange
