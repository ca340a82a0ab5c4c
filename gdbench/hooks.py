"""The hooks of gdbench: what a plugin can answer. Entry-point group ``gdbench``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from gdbench.specs import DomainSpec, EngineSpec, GeneratorSpec, MethodSpec, MetricSpec

if TYPE_CHECKING:
    import typer

    from gdbench.record import RunRecord

hookspec = pluggy.HookspecMarker("gdbench")
hookimpl = pluggy.HookimplMarker("gdbench")


@hookspec
def gdbench_generators() -> Iterable[GeneratorSpec]:  # type: ignore[empty-body]
    """Offer families of generators.

    @hookimpl
    def gdbench_generators(): yield GeneratorSpec("disc", "a disc", "my_lab.generator:load", domain="toy")
    """


@hookspec
def gdbench_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Offer methods that discover directions.

    @hookimpl
    def gdbench_methods(): yield MethodSpec("steepest", "steepest slopes", "my_lab.method:discover")
    """


@hookspec
def gdbench_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]
    """Offer metrics that score directions.

    @hookimpl
    def gdbench_metrics(): yield MetricSpec("evenness", "both signs alike?", measure, (Column("evenness", ""),))
    """


@hookspec
def gdbench_domains() -> Iterable[DomainSpec]:  # type: ignore[empty-body]
    """Offer domains: images, masks, factors and oracles of what generators show.

    @hookimpl
    def gdbench_domains(): yield DomainSpec("discs", "discs on grey", "my_lab.domain:load", offers=("images",))
    """


@hookspec
def gdbench_engines() -> Iterable[EngineSpec]:  # type: ignore[empty-body]
    """Offer engines, which start the processes of many cells, here or on many machines.

    @hookimpl
    def gdbench_engines(): yield EngineSpec("pbs", "jobs of PBS", "my_lab.pbs:start", detached=True)
    """


@hookspec
def gdbench_commands(app: typer.Typer) -> None:
    """Add sub-commands to the command line.

    @hookimpl
    def gdbench_commands(app): app.command("hello")(lambda: print("hello"))
    """


@hookspec
def gdbench_run_progressed(run: str, task: str, done: int, total: int, numbers: Mapping[str, float]) -> None:
    """Observe the numbers of a running task, such as a loss, at step ``done`` of ``total``.

    An error here is reported once and changes nothing.

    @hookimpl
    def gdbench_run_progressed(run, task, done, total, numbers): print(run, task, done, total, dict(numbers))
    """


@hookspec
def gdbench_run_finished(record: RunRecord, folder: Path) -> None:
    """Observe a finished run, for trackers; an error here is reported and changes nothing.

    @hookimpl
    def gdbench_run_finished(record, folder): print(record.id, record.status, folder)
    """
