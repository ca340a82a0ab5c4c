"""Who offers what: guarded discovery of plugins, the provider of every offer, and the list of what is broken.

pluggy's own entry-point loader stops at the first plugin that fails to import, and its calls lose who answered; so each
plugin is loaded, checked and asked here in a guard of its own. The result is one frozen value without global state.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pluggy

from gdbench import hooks
from gdbench.errors import GdbenchError, PluginError, UsageError, unknown
from gdbench.specs import KINDS, DomainSpec, GeneratorSpec, MethodSpec, MetricSpec

if TYPE_CHECKING:
    import typer

    from gdbench.context import Reporter
    from gdbench.record import RunRecord

GROUP = "gdbench"
BUILT_IN = "gdbench"
"""The distribution whose offers nobody can shadow."""

S = TypeVar("S", bound=GeneratorSpec | MethodSpec | MetricSpec | DomainSpec)


@dataclass(frozen=True)
class Provider:
    """Where an offer comes from: entry point or file name, distribution (or path of the file) and its version."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} of {self.distribution} {self.version}".rstrip()


@dataclass(frozen=True)
class Offer(Generic[S]):
    """A spec and who offers it."""

    spec: S
    provider: Provider


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
class Plugin:
    """A plugin that loaded: the module it is imported from ("" for a file) and the hooks it answers."""

    provider: Provider
    module: str
    hooks: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Where a plugin is imported from: its module ("" for a file), top-level package, and the call that imports it."""

    provider: Provider
    module: str
    package: str
    load: Callable[[], Any]


@dataclass(frozen=True)
class _Implementation:
    provider: Provider
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def __call__(self, **known: Any) -> Any:
        return self.function(*(known[name] for name in self.arguments))


@dataclass(frozen=True)
class Registry:
    """What the installed plugins offer, by name in alphabetical order.

    broken: plugins and offers that were refused. packages: top-level modules whose classes may be named in files.
    """

    generators: Mapping[str, Offer[GeneratorSpec]]
    methods: Mapping[str, Offer[MethodSpec]]
    metrics: Mapping[str, Offer[MetricSpec]]
    domains: Mapping[str, Offer[DomainSpec]]
    plugins: tuple[Plugin, ...]
    broken: tuple[Broken, ...]
    packages: frozenset[str]
    _implementations: tuple[_Implementation, ...] = ()

    def generator(self, name: str) -> Offer[GeneratorSpec]:
        """The generator ``name``. Raises UsageError with the nearest name."""
        return self._find("generator", name, self.generators)

    def method(self, name: str) -> Offer[MethodSpec]:
        """The method ``name``. Raises UsageError with the nearest name."""
        return self._find("method", name, self.methods)

    def metric(self, name: str) -> Offer[MetricSpec]:
        """The metric ``name``. Raises UsageError with the nearest name."""
        return self._find("metric", name, self.metrics)

    def domain(self, name: str) -> Offer[DomainSpec]:
        """The domain ``name``. Raises UsageError with the nearest name."""
        return self._find("domain", name, self.domains)

    def commands(self, app: typer.Typer) -> tuple[Broken, ...]:
        """Add the plugins' sub-commands to ``app``; what raised or would shadow a command of ``app`` is left out."""
        broken: list[Broken] = []
        for implementation in self._answering("gdbench_commands"):
            with _guard(implementation.provider, broken):
                _add_commands(app, implementation)
        return tuple(broken)

    def run_finished(self, record: RunRecord, folder: Path, reporter: Reporter) -> None:
        """Tell every observer of a finished run; what they raise is logged and changes nothing."""
        for implementation in self._answering("gdbench_run_finished"):
            broken: list[Broken] = []
            with _guard(implementation.provider, broken):
                implementation(record=record, folder=folder)
            for fault in broken:
                reporter.log(f"observer failed, the run is not affected: {fault}")

    def _answering(self, hook: str) -> Iterator[_Implementation]:
        return (implementation for implementation in self._implementations if implementation.hook == hook)

    def _find(self, kind: str, name: str, offers: Mapping[str, Offer[S]]) -> Offer[S]:
        if name in offers:
            return offers[name]
        for broken in self.broken:
            if name == (broken.offer or broken.name):
                raise UsageError(f"{kind} {name!r} cannot be used: {broken}")
        raise unknown(kind, name, offers)


def load_registry(plugins: Sequence[Path] = (), reporter: Reporter | None = None) -> Registry:
    """Ask all installed plugins, and the files ``plugins``, what they offer.

    Never raises for a plugin's fault: whatever a plugin does while it is imported or asked, it is listed in
    ``broken`` (and logged, when there is a ``reporter``) and the others are unaffected.
    Raises UsageError for a file in ``plugins`` that does not exist.
    """
    broken: list[Broken] = []
    loaded: list[tuple[_Source, Any]] = []
    with contextlib.redirect_stdout(sys.stderr):  # a plugin that prints must not spoil --json
        for source in [*_installed(), *_files(plugins)]:
            with _guard(source.provider, broken):
                loaded.append((source, source.load()))
        accepted, implementations = _register(loaded, broken)
        offers = {kind: _collect(kind, implementations, broken) for kind in KINDS}
    if reporter is not None:
        for fault in broken:
            reporter.log(f"ignored: {fault}")
    return Registry(
        generators=cast(Mapping[str, Offer[GeneratorSpec]], offers["generators"]),
        methods=cast(Mapping[str, Offer[MethodSpec]], offers["methods"]),
        metrics=cast(Mapping[str, Offer[MetricSpec]], offers["metrics"]),
        domains=cast(Mapping[str, Offer[DomainSpec]], offers["domains"]),
        plugins=_summary(accepted, implementations),
        broken=tuple(broken),
        packages=frozenset({BUILT_IN, *(source.package for source, _ in loaded)}),
        _implementations=implementations,
    )


def generator_specs() -> Mapping[str, GeneratorSpec]:
    """Every installed family of generators by name; those of broken plugins are left out."""
    return {name: offer.spec for name, offer in load_registry().generators.items()}


@contextlib.contextmanager
def _guard(provider: Provider, broken: list[Broken], offer: str = "") -> Iterator[None]:
    """Turn whatever a plugin raises, SystemExit and KeyboardInterrupt too, into an entry of ``broken``."""
    try:
        yield
    except BaseException as error:
        text = " ".join(str(error).split())
        reason = text if isinstance(error, GdbenchError) else f"{type(error).__name__}: {text}".rstrip(": ")
        broken.append(Broken(provider.plugin, provider.distribution, provider.version, reason, offer))


def _installed() -> Iterator[_Source]:
    # Built-ins first, so that equal names are always judged in the same order.
    for point in sorted(entry_points(group=GROUP), key=_rank):
        name, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
        yield _Source(Provider(point.name, name, version), point.module, point.module.partition(".")[0], point.load)


def _rank(point: EntryPoint) -> tuple[bool, str, str]:
    distribution = point.dist.name if point.dist else ""
    return distribution != BUILT_IN, distribution, point.name


def _files(paths: Sequence[Path]) -> Iterator[_Source]:
    taken: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise UsageError(f"--plugin {path}: no such file")
        name = "gdbench_file_" + re.sub(r"\W", "_", path.stem)
        if name in taken:
            raise UsageError(f"--plugin {path}: {taken[name]} has the same file name; rename one")
        taken[name] = path
        yield _Source(Provider(path.stem, str(path), ""), "", name, partial(_load_file, name, path))


def _load_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("not a Python file: the name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and "module:attribute" strings look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _register(
    loaded: Iterable[tuple[_Source, Any]], broken: list[Broken]
) -> tuple[tuple[_Source, ...], tuple[_Implementation, ...]]:
    """The plugins that keep to the hooks, and their implementations."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    accepted: dict[str, _Source] = {}
    for source, plugin in loaded:
        with _guard(source.provider, broken):
            _check_names(manager, plugin)
            name = f"{source.provider.distribution}/{source.provider.plugin}"
            try:
                manager.register(plugin, name)
            except pluggy.PluginValidationError as error:
                raise PluginError(f"{_cause(error)}; the right signatures: {_signatures(manager)}") from None
            accepted[name] = source
    implementations = tuple(
        _Implementation(accepted[found.plugin_name].provider, hook, found.function, tuple(found.argnames))
        for hook in _hook_names(manager)
        for found in getattr(manager.hook, hook).get_hookimpls()
    )
    return tuple(accepted.values()), implementations


def _check_names(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Refuse functions that look like hooks and are none: pluggy would pass over them without a word."""
    known = _hook_names(manager)
    for name in dir(plugin):
        value = getattr(plugin, name, None)
        options = manager.parse_hookimpl_opts(plugin, name) if inspect.isroutine(value) else None
        meant = (options and options.get("specname")) or name
        if options is not None and meant not in known:
            near = difflib.get_close_matches(meant, known, n=1, cutoff=0)
            raise PluginError(f"unknown hook {meant!r}: did you mean {near[0]!r}? known: {', '.join(known)}")
        if options is None and inspect.isfunction(value) and name.startswith("gdbench_"):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            raise PluginError(f"function {name!r} is no hook: write @hookimpl above it and call it {near[0]!r}")


def _hook_names(manager: pluggy.PluginManager) -> list[str]:
    return [name for name in sorted(vars(hooks)) if manager.parse_hookspec_opts(hooks, name) is not None]


def _signatures(manager: pluggy.PluginManager) -> str:
    names = _hook_names(manager)
    return ", ".join(f"{name}({', '.join(getattr(manager.hook, name).spec.argnames)})" for name in names)


def _cause(error: pluggy.PluginValidationError) -> str:
    return " ".join(str(error).split())


def _collect(kind: str, implementations: Iterable[_Implementation], broken: list[Broken]) -> Mapping[str, Offer[Any]]:
    """All offers of one kind, without those whose name is taken."""
    found: defaultdict[str, list[Offer[Any]]] = defaultdict(list)
    for implementation in implementations:
        if implementation.hook != f"gdbench_{kind}":
            continue
        with _guard(implementation.provider, broken):
            for spec in list(implementation()):
                with _guard(implementation.provider, broken):
                    found[_checked(spec, kind).name].append(Offer(spec, implementation.provider))
    return MappingProxyType({name: offer for name in sorted(found) for offer in _unique(found[name], kind, broken)})


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
            with _guard(offer.provider, broken, offer.spec.name):
                raise PluginError(f"{kind[:-1]} {offer.spec.name!r} is also offered by {others}: rename or remove one")
    return kept


def _summary(accepted: Iterable[_Source], implementations: Iterable[_Implementation]) -> tuple[Plugin, ...]:
    return tuple(
        Plugin(source.provider, source.module, tuple(a.hook for a in implementations if a.provider == source.provider))
        for source in accepted
    )


def _add_commands(app: typer.Typer, implementation: _Implementation) -> None:
    """Let the plugin write into an app of its own and take that over whole, so that no half of it is ever added."""
    import typer

    own = typer.Typer()
    implementation(app=own)
    taken = _command_names(app)
    clash = sorted(_command_names(own) & taken)
    if clash:
        raise PluginError(f"command {clash[0]!r} exists already: rename it")
    app.registered_commands.extend(own.registered_commands)
    app.registered_groups.extend(own.registered_groups)


def _command_names(app: typer.Typer) -> set[str]:
    commands = {
        command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        for command in app.registered_commands
    }
    groups = {
        str(group.name or (group.typer_instance.info.name if group.typer_instance else "") or "")
        for group in app.registered_groups
    }
    return commands | groups
