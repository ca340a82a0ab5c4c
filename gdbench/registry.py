"""Who offers what: guarded discovery of plugins, the provider of every offer, and the list of what is broken.

pluggy's own entry-point loader stops at the first plugin that fails to import, and its calls lose who answered; so each
plugin is loaded, checked and asked here in a guard of its own. The result is one frozen value without global state.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TextIO, cast

import pluggy

from gdbench import hooks
from gdbench.chatter import apart
from gdbench.errors import PluginError, UsageError, nearest, unknown
from gdbench.offers import (
    BUILT_IN,
    FILE,
    Broken,
    Implementation,
    Offer,
    Provider,
    S,
    collected,
    guard,
    with_known_needs,
)
from gdbench.places import at, defined_at
from gdbench.specs import KINDS, DomainSpec, EngineSpec, ExtraFile, GeneratorSpec, MethodSpec, MetricSpec

if TYPE_CHECKING:
    import typer

    from gdbench.context import Reporter
    from gdbench.record import RunRecord

__all__ = ["Broken", "Offer", "Plugin", "Provider", "Registry", "generator_specs", "load_registry"]

GROUP = "gdbench"


@dataclass(frozen=True)
class Plugin:
    """A plugin that loaded: the module it is imported from ("" for a file) and the hooks it answers."""

    provider: Provider
    module: str
    hooks: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Where a plugin is imported from: its module ("" for a file), and the call that imports it."""

    provider: Provider
    module: str
    load: Callable[[], Any]


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
    engines: Mapping[str, Offer[EngineSpec]] = field(default_factory=dict)
    _implementations: tuple[Implementation, ...] = ()

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

    def engine(self, name: str) -> Offer[EngineSpec]:
        """The engine ``name``. Raises UsageError with the nearest name."""
        return self._find("engine", name, self.engines)

    def commands(self, app: typer.Typer) -> tuple[Broken, ...]:
        """Add the plugins' sub-commands to ``app``; what raised or would shadow a command of ``app`` is left out."""
        broken: list[Broken] = []
        for implementation in self._answering("gdbench_commands"):
            with guard(implementation.provider, broken):
                _add_commands(app, implementation)
        return tuple(broken)

    def run_finished(self, record: RunRecord, folder: Path, reporter: Reporter) -> None:
        """Tell every observer of a finished run; what they raise is logged and changes nothing."""
        for implementation in self._answering("gdbench_run_finished"):
            broken: list[Broken] = []
            with guard(implementation.provider, broken):
                implementation(record=record, folder=folder)
            for fault in broken:
                reporter.log(f"observer failed, the run is not affected: {fault}")

    def watched(self, reporter: Reporter, run: str) -> Reporter:
        """The reporter of a run, which tells observers of its progress too."""
        from gdbench.watching import Watched

        observers = list(self._answering("gdbench_run_progressed"))
        return Watched(reporter, run, observers) if observers else reporter

    def offers(self) -> Mapping[str, Mapping[str, Offer[Any]]]:
        """All offers: ``"generator"``, ``"method"``, ``"metric"``, ``"domain"`` and ``"engine"`` -> name -> offer."""
        return MappingProxyType({kind.removesuffix("s"): getattr(self, kind) for kind in KINDS})

    def extra_files(self) -> Mapping[str, ExtraFile]:
        """Name -> file, of all that domains need or can use and do not ship; several may need the same one."""
        specs = [offer.spec for offer in self.domains.values()]
        return {extra.name: extra for spec in specs for extra in (*spec.files, *spec.extras)}

    def _answering(self, hook: str) -> Iterator[Implementation]:
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

    Never raises for the fault of an installed plugin: whatever it does while it is imported or asked, it is listed in
    ``broken`` (and logged, when there is a ``reporter``) and the others are unaffected. A file was named by the user,
    who would otherwise get another plugin's answer: raises UsageError where one of ``plugins`` does not exist, cannot
    be loaded or offers what is refused. Ctrl-C is no plugin's fault, and is raised.
    """
    broken: list[Broken] = []
    loaded: list[tuple[_Source, Any]] = []
    with apart(_to_stderr(sys.stderr)):  # a plugin that prints must not spoil --json
        for source in [*_installed(), *_files(plugins)]:
            with guard(source.provider, broken):
                loaded.append((source, source.load()))
        accepted, implementations = _register(loaded, broken)
        offers = with_known_needs({kind: collected(kind, implementations, broken) for kind in KINDS}, broken)
    named = {str(path) for path in plugins}
    refused = [f"--plugin {fault.distribution}: {fault.reason}" for fault in broken if fault.distribution in named]
    if refused:
        raise UsageError("; ".join(refused))
    if reporter is not None:
        for fault in broken:
            reporter.log(f"ignored: {fault}")
    return Registry(
        generators=cast(Mapping[str, Offer[GeneratorSpec]], MappingProxyType(offers["generators"])),
        methods=cast(Mapping[str, Offer[MethodSpec]], MappingProxyType(offers["methods"])),
        metrics=cast(Mapping[str, Offer[MetricSpec]], MappingProxyType(offers["metrics"])),
        domains=cast(Mapping[str, Offer[DomainSpec]], MappingProxyType(offers["domains"])),
        plugins=_summary(accepted, implementations),
        broken=tuple(broken),
        engines=cast(Mapping[str, Offer[EngineSpec]], MappingProxyType(offers["engines"])),
        packages=frozenset({BUILT_IN, *(source.provider.package for source, _ in loaded)}),
        _implementations=implementations,
    )


def _to_stderr(stream: TextIO) -> Callable[[str], None]:
    def log(line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a message that cannot be shown ends nothing
            stream.write(f"{line}\n")

    return log


def generator_specs() -> Mapping[str, GeneratorSpec]:
    """Every installed family of generators by name; those of broken plugins are left out."""
    return {name: offer.spec for name, offer in load_registry().generators.items()}


def _installed() -> Iterator[_Source]:
    known: dict[int, tuple[str, str]] = {}  # each name and version is read from a file, which many plugins share
    found = []
    for point in entry_points(group=GROUP):
        if id(point.dist) not in known:
            known[id(point.dist)] = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
        found.append((*known[id(point.dist)], point))
    # Built-ins first, so that equal names are always judged in the same order.
    for name, version, point in sorted(found, key=lambda each: (each[0] != BUILT_IN, each[0], each[2].name)):
        provider = Provider(point.name, name, version, point.module.partition(".")[0])
        yield _Source(provider, point.module, point.load)


def _files(paths: Sequence[Path]) -> Iterator[_Source]:
    taken: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise UsageError(f"--plugin {path}: no such file")
        name = FILE + re.sub(r"\W", "_", path.stem)
        if name in taken:
            raise UsageError(f"--plugin {path}: {taken[name]} has the same file name; rename one")
        taken[name] = path
        yield _Source(Provider(path.stem, str(path), "", name), "", partial(_load_file, name, path))


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
) -> tuple[tuple[_Source, ...], tuple[Implementation, ...]]:
    """The plugins that keep to the hooks, and their implementations."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hooks)
    accepted: dict[str, _Source] = {}
    names = _hook_names(manager)
    for source, plugin in loaded:
        with guard(source.provider, broken):
            _check_names(manager, plugin, names)
            name = f"{source.provider.distribution}/{source.provider.plugin}"
            try:
                manager.register(plugin, name)
            except pluggy.PluginValidationError as error:
                wrong = [defined_at(getattr(plugin, hook)) for hook in names if f"{hook!r}" in str(error)]
                reason = f"{_cause(error)}; the right signatures: {_signatures(manager)}"
                raise PluginError(at(reason, next(iter(wrong), ""))) from None
            accepted[name] = source
    implementations = tuple(
        Implementation(accepted[found.plugin_name].provider, hook, found.function, tuple(found.argnames))
        for hook in names
        for found in getattr(manager.hook, hook).get_hookimpls()
    )
    return tuple(accepted.values()), implementations


def _check_names(manager: pluggy.PluginManager, plugin: Any, known: Sequence[str]) -> None:
    """Refuse functions that look like hooks and are none: pluggy would pass over them without a word."""
    for name in dir(plugin):
        value = getattr(plugin, name, None)
        options = manager.parse_hookimpl_opts(plugin, name) if inspect.isroutine(value) else None
        meant = (options and options.get("specname")) or name
        if options is not None and meant not in known:
            near = nearest(meant, known, 0)
            reason = f"unknown hook {meant!r}: did you mean {near!r}? known: {', '.join(known)}"
            raise PluginError(at(reason, defined_at(cast(Callable[..., Any], value))))
        if options is None and inspect.isfunction(value) and name.startswith("gdbench_"):
            near = nearest(name, known, 0)
            reason = f"function {name!r} is no hook: write @hookimpl above it and call it {near!r}"
            raise PluginError(at(reason, defined_at(value)))


def _hook_names(manager: pluggy.PluginManager) -> list[str]:
    return [name for name in sorted(vars(hooks)) if manager.parse_hookspec_opts(hooks, name) is not None]


def _signatures(manager: pluggy.PluginManager) -> str:
    names = _hook_names(manager)
    return ", ".join(f"{name}({', '.join(getattr(manager.hook, name).spec.argnames)})" for name in names)


def _cause(error: pluggy.PluginValidationError) -> str:
    return " ".join(str(error).split())


def _summary(accepted: Iterable[_Source], implementations: Iterable[Implementation]) -> tuple[Plugin, ...]:
    return tuple(
        Plugin(source.provider, source.module, tuple(a.hook for a in implementations if a.provider == source.provider))
        for source in accepted
    )


def _add_commands(app: typer.Typer, implementation: Implementation) -> None:
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
