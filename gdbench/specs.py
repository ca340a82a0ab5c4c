"""What a plugin says it offers: frozen values, checked when they are made, free to import."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from gdbench.errors import PluginError, nearest
from gdbench.tiers import TIERS

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CAPABILITIES = ("mapping", "features", "modulation", "program", "layers")
OFFERS = ("factors", "masks", "images")
STANDARD = (*CAPABILITIES, *OFFERS, "domain")
"""What ``needs`` may name in any installation; a plugin's ``provides`` and ``offers`` may add names of its own."""

Lazy = Callable[..., Any] | str
"""A callable, or ``"module:attribute"`` which is imported at the first call, so that declaring costs nothing."""


@dataclass(frozen=True)
class NoParams:
    """Parameters of a plugin that has none."""


def resolve(lazy: Lazy) -> Callable[..., Any]:
    """The callable behind ``lazy``."""
    if not isinstance(lazy, str):
        return lazy
    module, _, attribute = lazy.partition(":")
    target: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return target


def _check(kind: str, name: str, params: type, lazies: Mapping[str, Lazy | None]) -> None:
    if not NAME.fullmatch(name):
        raise PluginError(f"{kind} name {name!r}: use lower-case letters, digits, '.', '_' and '-', 64 at most")
    if not (isinstance(params, type) and is_dataclass(params) and params.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise PluginError(f"{kind} {name!r}: params must be a frozen dataclass type, got {params!r}")
    for role, lazy in lazies.items():
        if lazy is not None and not callable(lazy) and not re.fullmatch(r"[\w.]+:\w+", lazy):
            raise PluginError(f"{kind} {name!r}: {role} must be a callable or 'module:attribute', got {lazy!r}")


def _check_tiers(kind: str, name: str, tiers: Iterable[str]) -> None:
    strange = set(tiers) - set(TIERS)
    if strange:
        raise PluginError(f"{kind} {name!r}: unknown tier {sorted(strange)}; known: {TIERS}")


def _no_misspelling(kind: str, name: str, field: str, given: Iterable[str]) -> None:
    """Refuse a name that is nearly one of the standard ones: nobody would ever meet what it offers."""
    for word in given:
        near = nearest(word, STANDARD, 0.8)
        if near and word not in STANDARD:
            raise PluginError(f"{kind} {name!r}: {field} has {word!r}: did you mean {near!r}?")


@dataclass(frozen=True)
class Checkpoint:
    """The card of a generator's weights: what they are, where they come from, and how to know the file."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    domain: str
    """Name of the domain that its images show."""
    file: str
    """A path inside the package where it is shipped, else a bare file name in the user's checkpoint folder."""
    sha256: str | None = None
    """Of the file, in hex; None where nobody published it."""
    size: int | None = None
    """Bytes of the file, None where it is not known."""
    url: str | None = None
    """Where a file that is not shipped is fetched from; None where it must be got by hand."""
    licence: str = "unknown"
    """Under which terms the weights may be used."""
    resolution: int | None = None
    """Height of the images in pixels."""
    status: Literal["ready", "preview"] = "ready"
    """``preview`` where the weights miss a gate of their card, ``ready`` else."""
    shipped: bool = False
    """Whether the file comes with the package."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else is known, as JSON values: training command, CPU hours, gates, facts of the architecture."""

    @property
    def lacks(self) -> str:
        """What its images lack, as its card knows: factors that no direction steers, and classes hardly drawn."""
        rare = (f"{factor} {name}" for factor, names in self.card.get("rare", {}).items() for name in names)
        return ", ".join((*self.card.get("lacking", ()), *rare))


@dataclass(frozen=True)
class GeneratorSpec:
    """A family of generators: one architecture, with any number of checkpoints."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    summary: str
    """One line for lists."""
    load: Lazy
    """``load(path, params, device) -> Generator``; ``path`` is None for a family that needs no weights."""
    params: type = NoParams
    """A frozen dataclass: names, types, defaults and help of the parameters."""
    smoke: Mapping[str, Any] = field(default_factory=dict)
    """Parameters with which it renders in seconds on a CPU, for tests."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Its cards, shipped and official; where none is named, the first that is shipped is meant."""
    provides: tuple[str, ...] = ()
    """Capabilities: ``mapping``, ``features``, ``modulation``, ``program``, ``layers``, or names of its own."""
    spaces: tuple[str, ...] = ("z",)
    """Names of its latent spaces; the first is meant where none is named."""
    domain: str | None = None
    """Name of the domain that its images show, where its cards do not say; None where nobody knows."""
    recognise: Lazy | None = None
    """``recognise(path) -> str | None``: the name of the file format, judged by content, or None."""
    convert: Lazy | None = None
    """``convert(path) -> (tensors, facts)``: reads an official file into named tensors and the facts of its
    architecture."""
    recipe: Lazy | None = None
    """Networks, losses and schedule for training a small checkpoint; None where there is none."""
    version: int = 1
    """Raised when a change alters the images of the same weights."""
    citation: str = ""
    """Where it was published."""
    sha256: str = ""
    """Of what makes its images, for a family without files of weights; empty where nobody can tell."""

    def __post_init__(self) -> None:
        lazies = {"load": self.load, "recognise": self.recognise, "convert": self.convert, "recipe": self.recipe}
        _check("generator", self.name, self.params, lazies)
        _no_misspelling("generator", self.name, "provides", self.provides)


@dataclass(frozen=True)
class MethodSpec:
    """A way to discover directions."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    summary: str
    """One line for lists."""
    discover: Lazy
    """``discover(generator, params, context) -> Directions``: ``context.k`` of them in ``context.space``."""
    params: type = NoParams
    """A frozen dataclass: names, types, defaults and help of the parameters."""
    smoke: Mapping[str, Any] = field(default_factory=dict)
    """Parameters with which discovery ends in seconds on a CPU, for tests."""
    tiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Budget (``quick``, ``standard``, ``paper``) -> parameters that differ from the defaults."""
    needs: tuple[str, ...] = ()
    """Capabilities of the generator, what the domain must offer, or ``"domain"``, which fills ``context.domain``."""
    spaces: tuple[str, ...] = ()
    """The only spaces in which it works; empty where it takes any."""
    shape: Literal["linear", "curved"] = "linear"
    """That of the directions with the default parameters."""
    curved_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameter -> values with which a linear method gives curved directions."""
    role: Literal["method", "control", "reference"] = "method"
    """Controls and supervised references stand apart from the methods, which are ranked."""
    baseline: bool = False
    """A control that leaderboards set every method against ("above", "not separable", "below")."""
    supervision: Literal["none", "self", "labels"] = "none"
    """What it learns from beside the generator: nothing, edits of images (``self``), or the labels of an oracle."""
    learned: bool = False
    """It trains, and therefore keeps resume points."""
    deterministic: bool = False
    """The result does not depend on the seed, so seeds repeat only the evaluation."""
    shareable: bool = False
    """Processes that torchrun started can share its discovery, each calling it with its own generator."""
    version: int = 1
    """Raised when a change alters the directions; runs of an older version are not shown on leaderboards."""
    citation: str = ""
    """Where it was published."""
    compatible: Lazy | None = None
    """``compatible(generator, domain) -> str`` of two specs: why they cannot meet the method, or ""; asked before
    anything is loaded, after ``needs`` and ``spaces``."""

    def __post_init__(self) -> None:
        _check("method", self.name, self.params, {"discover": self.discover, "compatible": self.compatible})
        _check_tiers("method", self.name, self.tiers)
        if self.baseline and self.role != "control":
            raise PluginError(f"method {self.name!r}: a baseline is a control; its role is {self.role!r}")
        unknown = set(self.curved_with) - {parameter.name for parameter in fields(self.params)}
        if unknown or (self.curved_with and self.shape == "curved"):
            wrong = f"no parameter {min(unknown)!r}" if unknown else "curved anyway"
            raise PluginError(f"method {self.name!r}: curved_with: {wrong}")


@dataclass(frozen=True)
class Column:
    """One number of a metric."""

    name: str
    """As tables and records call it; once in each metric."""
    summary: str
    """One line: what the number says."""
    better: Literal["higher", "lower", "neither"] = "higher"
    """Which way is better; ``neither`` where none is."""
    unit: str = ""
    """Of the number, empty for a plain one."""
    ranked: bool = False
    """Whether leaderboards rank methods by it."""
    refused: str = ""
    """The test of an acceptance matrix (PROTOCOL, "Which columns may rank") that a ranking column fails: it is
    shown and not ranked then, unless a suite names verdicts of its own. Empty where it fails none."""
    range: tuple[float | None, float | None] = (None, None)
    """The least and the greatest value that it can have, None where there is no bound; intervals stay within it."""
    headline: bool = False
    """It sorts a leaderboard, and sentences speak of it; its metric comes first."""
    brief: bool = False
    """It stands in the short table, which has room for five; a headline column always does."""

    def __post_init__(self) -> None:
        low, high = self.range
        if low is not None and high is not None and not low < high:
            raise PluginError(f"column {self.name!r}: range {self.range}: the least value comes first")
        if self.headline and not (self.ranked and self.better != "neither"):
            raise PluginError(f"column {self.name!r}: a headline column ranks, and says what is better")


@dataclass(frozen=True)
class MetricSpec:
    """A measurement of directions."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    summary: str
    """One line for lists, best as the question that it answers."""
    measure: Lazy
    """``measure(subject, params, context) -> Scores``, with exactly the declared columns."""
    columns: tuple[Column, ...]
    """What it gives, in the order of tables; at least one."""
    params: type = NoParams
    """A frozen dataclass: names, types, defaults and help of the parameters."""
    smoke: Mapping[str, Any] = field(default_factory=dict)
    """Parameters with which it ends in seconds on a CPU, for tests."""
    tiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Budget (``quick``, ``standard``, ``paper``) -> parameters that differ from the defaults."""
    needs: tuple[str, ...] = ()
    """What the domain must offer (``"factors"``, ``"masks"``, ``"images"``), or capabilities of the generator; where
    they are lacking its columns are void, with the reason."""
    measured_with: tuple[str, ...] = ()
    """Metrics without which its columns mislead: who asks for it gets them too."""
    default: bool = False
    """Measured by every run; the others on request."""
    version: int = 1
    """Raised when a change alters the numbers: older ones are void on leaderboards until they are measured again."""
    citation: str = ""
    """Where it was published."""
    beside: InitVar[tuple[str, ...]] = ()
    """The former name of ``measured_with``."""

    def __post_init__(self, beside: tuple[str, ...]) -> None:
        object.__setattr__(self, "measured_with", tuple(dict.fromkeys((*self.measured_with, *beside))))
        _check("metric", self.name, self.params, {"measure": self.measure})
        _check_tiers("metric", self.name, self.tiers)
        names = [column.name for column in self.columns]
        if not names or len(set(names)) != len(names):
            raise PluginError(f"metric {self.name!r}: columns must be named, once each; got {names}")


@dataclass(frozen=True)
class ExtraFile:
    """A file that is needed and not shipped: ``gdbench checkpoint fetch NAME`` gets it, after showing the licence."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    file: str
    """A bare file name."""
    url: str
    """Where it is fetched from."""
    sha256: str
    """In hex: whole, or at least its first 8 digits where nobody publishes more."""
    size: int
    """Bytes."""
    licence: str
    """Under which terms it may be used."""
    summary: str
    """Who needs it, in one line."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or Path(self.file).name != self.file or len(self.sha256) < 8:
            raise PluginError(f"file {self.name!r}: needs a name, a plain file name and 8 digits of its SHA-256")


@dataclass(frozen=True)
class DomainSpec:
    """What images show: the ground on which factors are named, read and compared."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    summary: str
    """One line for lists."""
    load: Lazy
    """``load(device) -> Domain``."""
    offers: tuple[str, ...] = ()
    """What metrics may need of it: ``factors``, ``masks``, ``images``, or names of the plugin's own."""
    files: tuple[ExtraFile, ...] = ()
    """What it needs and does not ship; a run that lacks one stops before anything is computed."""
    extras: tuple[ExtraFile, ...] = ()
    """What may be fetched for it and what no run needs unless it is asked for."""
    version: int = 1
    """Raised when a change alters what oracles read, or the distance."""
    citation: str = ""
    """Where it was published."""
    unranked: str = ""
    """Why boards of its runs rank nothing; empty where they do."""
    factors: Mapping[str, str] = field(default_factory=dict)
    """What each factor is, in a few words for pages and lists: of all factors that the domain names, or empty."""

    def __post_init__(self) -> None:
        _check("domain", self.name, NoParams, {"load": self.load})
        _no_misspelling("domain", self.name, "offers", self.offers)


@dataclass(frozen=True)
class EngineSpec:
    """A way to run many cells, on this machine or elsewhere."""

    name: str
    """What users type: lower-case letters, digits, ``.``, ``_`` and ``-``, 64 at most."""
    summary: str
    """One line for lists."""
    start: Lazy
    """``start(params, setup) -> Engine``, where ``setup`` is an ``EngineSetup``."""
    params: type = NoParams
    """A frozen dataclass: what a suite may say under ``engines: {NAME: ...}``."""
    smoke: Mapping[str, Any] = field(default_factory=dict)
    """Parameters for tests."""
    available: Lazy | None = None
    """``available() -> str``: what is lacking here, or empty."""
    detached: bool = False
    """Its jobs go on when the bench ends, and a later bench finds them again."""
    version: int = 1
    """Of the engine, as its plugin counts."""
    citation: str = ""
    """Where it was published."""

    def __post_init__(self) -> None:
        _check("engine", self.name, self.params, {"start": self.start, "available": self.available})


Spec = GeneratorSpec | MethodSpec | MetricSpec | DomainSpec | EngineSpec
KINDS: Mapping[str, type] = MappingProxyType(
    {
        "generators": GeneratorSpec,
        "methods": MethodSpec,
        "metrics": MetricSpec,
        "domains": DomainSpec,
        "engines": EngineSpec,
    }
)
