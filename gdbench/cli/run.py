"""``gdbench run``: one cell, from names to scores, pictures and the next command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gdbench.chatter import apart
from gdbench.cli import options, views
from gdbench.registry import Registry

if TYPE_CHECKING:
    from gdbench.record import RunRecord
    from gdbench.runs.request import RunRequest
    from gdbench.runs.store import RunFolder


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``run``."""
    generators, methods, domains = registry.generators, registry.methods, registry.domains
    example = f"gdbench run --gan {next(iter(generators), 'NAME')} --method {next(iter(methods), 'NAME')}"

    @app.command(cls=options.with_metric_flags(registry), epilog=f"Example: {example}")
    def run(
        gan: str = typer.Option(..., help="Generator, or FILE.py:NAME.", autocompletion=options.completer(generators)),
        method: str = typer.Option(..., help="Method.", autocompletion=options.completer(methods)),
        checkpoint: str = typer.Option(None, help="Name or path of its weights; the default is the shipped one."),
        space: str = typer.Option(None, help="Where directions live; the default is the generator's first space."),
        layers: str = options.LAYERS,
        domain: str = typer.Option(None, help="What the images show.", autocompletion=options.completer(domains)),
        attributes: str = options.ATTRIBUTES,
        attribute_names: str = options.ATTRIBUTE_NAMES,
        attribute_check: str = options.ATTRIBUTE_CHECK,
        real_images: str = options.REAL_IMAGES,
        k: int = typer.Option(32, min=1, help="How many directions."),
        seed: int = typer.Option(0, min=0, help="Seed of the discovery and of the evaluation."),
        tier: str = typer.Option("quick", help="Budget: quick (a demonstration), standard, paper; or smoke (a test)."),
        metrics: str = typer.Option(
            "", help="Names, separated by commas, or all.", autocompletion=options.completer(["all", *registry.metrics])
        ),
        parameter: list[str] = options.PARAMETER,
        device: str = options.DEVICE,
        threads: int = options.THREADS,
        max_memory: str = options.MAX_MEMORY,
        offline: bool = options.OFFLINE,
        out: Path = typer.Option(options.RUNS, help="Folder for run folders."),
        fresh: bool = typer.Option(False, "--fresh", help="Compute again what is there already."),
        plugin: list[Path] = options.PLUGIN,
        as_json: bool = options.JSON,
    ) -> None:
        """Discover directions in one generator, measure and show them."""
        from gdbench.runs.request import FILES, RunRequest

        given = (attributes, attribute_names, attribute_check, real_images)
        files: dict[str, Any] = dict(zip(FILES, given, strict=True))
        offers = options.registry_with(registry, plugin)
        request = RunRequest(
            gan,
            method,
            checkpoint,
            options.space_of(offers, gan, space, layers),
            k,
            seed,
            tier=tier,  # type: ignore[arg-type]
            metrics=tuple(name for name in metrics.split(",") if name),
            device=device,
            threads=threads,
            max_memory=max_memory,
            offline=offline,
            out=out,
            fresh=fresh,
            domain=domain,
            **files,
            **options.split_assignments(parameter, offers.metrics),
        )
        _show(request, offers, as_json)


def _show(request: RunRequest, offers: Registry, as_json: bool) -> None:
    record, folder = _executed(request, offers)
    views.show_run(record, folder.path, offers, as_json=as_json)
    raise typer.Exit(record.status != "done")


def _executed(request: RunRequest, offers: Registry) -> tuple[RunRecord, RunFolder]:
    """Run the request in this process, and in those that torchrun started with it, which end here with nothing."""
    from gdbench.progress import reporter
    from gdbench.runs import pipeline, planning, process_group

    shown = reporter()
    with apart(shown.log):
        made = planning.plan(request, offers)
        group = process_group.joined(request.method, made.method.spec.shareable)
        if group.rank:
            pipeline.join_discovery(made, group)
            raise typer.Exit(0)
        return pipeline.execute(made, offers, shown, group)
