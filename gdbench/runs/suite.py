"""Suites: a YAML file in ``benchmarks/`` becomes the runs it asks for.

name: mine
tier: quick                                # optional, as k (32), metrics ([]: the default ones), metric_params
seeds: [0, 1, 2]                           # optional, [0, 1, 2]
generators:
  - first                                  # short for {gan: first}
  - {gan: second, checkpoint: small, space: w, params: {truncation: 0.7}}
methods:
  - random
  - {method: learned, params: {form: unit}, seeds: [0]}
  - {method: other, k: 8, metrics: [one], generators: [first, second/small/w]}   # GAN, GAN/CHECKPOINT or with /SPACE
runs: NAME                                 # optional, "runs": another folder of runs than that which suites share, for
                                           # runs that measure the same cells with other parameters of metrics
acceptance: FILE                           # optional, beside this file: metrics that failed there are not ranked
resources: {cpus: 1, gpus: 0, memory: 4GB, time: 30m}   # optional: what a cell needs; a method's own go before
engines: {NAME: {...}}                     # optional: what an engine is to know (``gdbench info NAME``)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from gdbench.engines import Resources, Settings
from gdbench.errors import UsageError, unknown
from gdbench.params import build
from gdbench.record import Cell
from gdbench.runs.request import RunRequest
from gdbench.specs import NAME
from gdbench.yamlfile import read_yaml

T = TypeVar("T")


@dataclass(frozen=True)
class Suite:
    """A named set of runs, in the order generators, methods, seeds.

    acceptance: the file of verdicts on metrics, None where the suite names none. runs: the name of the folder in which
    its runs lie, beside that of other results. resources: what each of the requests needs, in their order. engines: the
    parameters of engines that the suite states.
    """

    name: str
    requests: tuple[RunRequest, ...]
    acceptance: Path | None = None
    runs: str = "runs"
    resources: tuple[Resources, ...] = ()
    engines: Settings = field(default_factory=dict)

    def seeds(self, cell: Cell) -> frozenset[int]:
        """The seeds that this suite asks for of the cell, whose own seed does not count; none where it asks for none.

        A request without checkpoint, space or some parameter is for any; but one that names what the cell has speaks
        for it alone. The number of seeds is the N of "n of N" in a leaderboard.
        """
        found: dict[int, set[int]] = {}
        for request in self._by_kind.get((cell.generator, cell.method, cell.k, cell.tier), ()):
            if (named := _named(request, cell)) is not None:
                found.setdefault(named, set()).add(request.seed)
        return frozenset(found[max(found)]) if found else frozenset()

    def asked(self, cell: Cell) -> dict[str, int]:
        """Method -> how many seeds this suite asks for where a cell is, whose own method and seed do not count."""
        found: dict[str, set[int]] = {}
        for method, params in self._methods.items():
            here = replace(cell, method=method[0], method_params=params)
            found.setdefault(method[0], set()).update(self.seeds(here))
        return {method: len(seeds) for method, seeds in found.items() if seeds}

    def place(self, generator: str, checkpoint: str, space: str) -> int:
        """The place of a generator in this suite's list of them, counted from 0; the number of them if it is not there.

        An entry that leaves checkpoint or space open is for any, but one that names more of it speaks for it.
        """
        asked = dict.fromkeys((one.gan, one.checkpoint, one.space) for one in self.requests)
        meant = [
            (entry.count(None), place)
            for place, entry in enumerate(asked)
            if all(got in (None, had) for got, had in zip(entry, (generator, checkpoint, space), strict=True))
        ]
        return min(meant)[1] if meant else len(asked)

    @cached_property
    def _by_kind(self) -> Mapping[tuple[str, str, int, str], Sequence[RunRequest]]:
        """The requests by what they never leave open: a leaderboard of many runs asks for each run."""
        found: dict[tuple[str, str, int, str], list[RunRequest]] = {}
        for one in self.requests:
            found.setdefault((one.gan, one.method, one.k, one.tier), []).append(one)
        return found

    @cached_property
    def _methods(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """The parameters of each method, by its name and their text."""
        return {(one.method, repr(one.method_params)): one.method_params for one in self.requests}


def _named(request: RunRequest, cell: Cell) -> int | None:
    """How many choices that may be left open the request makes, all as the cell has them; None: it is for others."""
    if (request.gan, request.method, request.k, request.tier) != (cell.generator, cell.method, cell.k, cell.tier):
        return None
    open_choices = [(request.checkpoint, cell.checkpoint), (request.space, cell.space)]
    made: list[tuple[Any, Any]] = [(asked, got) for asked, got in open_choices if asked is not None]
    for asked_of, got_of in (
        (request.generator_params, cell.generator_params),
        (request.method_params, cell.method_params),
    ):
        made += [(value, got_of.get(name)) for name, value in asked_of.items()]
    return len(made) if all(asked == got for asked, got in made) else None


@dataclass(frozen=True)
class _File:
    name: str
    generators: list[Any]
    methods: list[Any]
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    k: int = 32
    tier: str = "quick"
    metrics: list[str] = field(default_factory=list)
    metric_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    acceptance: str | None = None
    runs: str = "runs"
    resources: Mapping[str, Any] = field(default_factory=dict)
    engines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Generator:
    gan: str
    checkpoint: str | None = None
    space: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What a method's list of generators may call it: GAN, GAN/CHECKPOINT, GAN/CHECKPOINT/SPACE as far as named."""
        names = [self.gan]
        for part in (self.checkpoint, self.space):
            if part is None:
                break
            names.append(f"{names[-1]}/{part}")
        return names


@dataclass(frozen=True)
class _Method:
    """k, seeds and metrics: None is the suite's. generators: what it is run on, by its names; None is all."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    k: int | None = None
    seeds: list[int] | None = None
    metrics: list[str] | None = None
    generators: list[str] | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)


def read_suite(path: Path) -> Suite:
    """The suite in a YAML file. Raises UsageError, one line with file and key, for whatever is wrong in it."""
    file = _entry(_File, read_yaml(path), f"{path}")
    for key, value in (("name", file.name), ("runs", file.runs)):
        if not NAME.fullmatch(value):
            raise UsageError(f"{path}: {key}: got {value!r}, expected lower-case letters, digits, '.', '_' and '-'")
    generators = _entries(_Generator, file.generators, "gan", f"{path}: generators")
    methods = _entries(_Method, file.methods, "method", f"{path}: methods")
    _check_restrictions(methods, {name for one in generators for name in one.names}, f"{path}: methods")
    build(Resources, file.resources, where=f"{path}: resources")
    requests, resources = list[RunRequest](), list[Resources]()
    for i, generator in enumerate(generators):
        for j, method in enumerate(methods):
            where = f"{path}: generators[{i}] x methods[{j}]"
            if method.generators is None or set(method.generators) & set(generator.names):
                needs = build(Resources, file.resources, method.resources, where=f"{where}: resources")
                requests += (found := _requests(file, generator, method, where))
                resources += [needs] * len(found)
    acceptance = None if file.acceptance is None else path.parent / file.acceptance
    distinct = _distinct(requests, path)
    return Suite(file.name, distinct, acceptance, file.runs, tuple(resources), file.engines)


def _requests(file: _File, generator: _Generator, method: _Method, where: str) -> list[RunRequest]:
    seeds = file.seeds if method.seeds is None else method.seeds
    if not seeds or len(set(seeds)) != len(seeds):
        raise UsageError(f"{where}: seeds: got {seeds}, expected different numbers, at least one")
    try:
        first = RunRequest(
            gan=generator.gan,
            method=method.method,
            checkpoint=generator.checkpoint,
            space=generator.space,
            k=file.k if method.k is None else method.k,
            tier=file.tier,  # type: ignore[arg-type]
            metrics=tuple(file.metrics if method.metrics is None else method.metrics),
            generator_params=generator.params,
            method_params=method.params,
            metric_params=file.metric_params,
            suite=file.name,
        )
        return [replace(first, seed=seed) for seed in seeds]
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _entries(kind: type[T], values: list[Any], short: str, where: str) -> list[T]:
    """The entries of a list; a bare name stands for a mapping with that name."""
    if not values:
        raise UsageError(f"{where}: got an empty list, expected at least one entry")
    full = [{short: value} if isinstance(value, str) else value for value in values]
    return [_entry(kind, value, f"{where}[{index}]") for index, value in enumerate(full)]


def _entry(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: got {repr(value)[:60]}, expected a mapping")
    return build(kind, value, where=where)


def _check_restrictions(methods: list[_Method], gans: set[str], where: str) -> None:
    for j, method in enumerate(methods):
        for gan in method.generators or ():
            if gan not in gans:
                raise UsageError(f"{where}[{j}]: generators: {unknown('generator', gan, gans)}")


def _distinct(requests: list[RunRequest], path: Path) -> tuple[RunRequest, ...]:
    seen: set[str] = set()
    for request in requests:
        text = request.to_json()
        if text in seen:
            raise UsageError(f"{path}: {request.gan} x {request.method}, seed {request.seed}, is asked for twice")
        seen.add(text)
    return tuple(requests)
