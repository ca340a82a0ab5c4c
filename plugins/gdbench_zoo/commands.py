"""The sub-commands of `gdbench zoo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

zoo = typer.Typer(help="Train small GANs on a domain and export them as checkpoints.", no_args_is_help=True)

Family = Annotated[str, typer.Argument(help="a generator family that brings a training recipe")]
Out = Annotated[Path | None, typer.Option(help="folder of the training [default: zoo/FAMILY]")]
Values = Annotated[
    list[str] | None, typer.Option("--param", "-p", help="a field of the recipe, NAME=VALUE (repeatable)")
]
DomainName = Annotated[str, typer.Option(help="where the training images come from")]


@zoo.command()
def train(
    family: Family,
    minutes: Annotated[float, typer.Option(help="total CPU minutes, those of earlier sittings included")] = 60.0,
    seed: Annotated[int, typer.Option(help="of initialisation, images and latents")] = 0,
    out: Out = None,
    domain: DomainName = "scenes",
    param: Values = None,
    data: Annotated[
        Path | None, typer.Option(help="folder of the training images, for a domain that reads files")
    ] = None,
) -> None:
    """Train on one thread until the budget is spent. The same command resumes."""
    import torch

    from gdbench import load_domain, parse_assignments
    from gdbench_zoo.families import recipe
    from gdbench_zoo.trainer import Budget, channels, drawer, with_data
    from gdbench_zoo.trainer import train as run

    torch.set_num_threads(1)
    source = with_data(load_domain(domain), data)
    chosen = recipe(family, channels(source), parse_assignments(param or []))
    run(chosen, drawer(source, chosen.label), out or Path("zoo") / family, Budget(cpu_seconds=60 * minutes), seed)


@zoo.command()
def export(
    family: Family,
    out: Out = None,
    domain: DomainName = "scenes",
    into: Annotated[Path | None, typer.Option(help="folder of the checkpoint [default: the family's package]")] = None,
    name: Annotated[str, typer.Option(help="name of the checkpoint")] = "scenes32",
) -> None:
    """Export the averaged generator, measured, with its card."""
    import torch

    from gdbench import load_domain
    from gdbench_zoo import export as exporter
    from gdbench_zoo.families import folder, recipe
    from gdbench_zoo.trainer import channels

    torch.set_num_threads(1)
    source = load_domain(domain)
    file = (out or Path("zoo") / family) / "state.pt"
    state = exporter.read_state(file)
    chosen = recipe(family, channels(source), state.get("recipe"))
    card = exporter.export(family, chosen, state, into or folder(family), name, source)
    typer.echo(json.dumps(card, indent=1))


@zoo.command()
def gates(
    family: Family,
    domain: DomainName = "scenes",
    into: Annotated[Path | None, typer.Option(help="folder of the checkpoint [default: the family's package]")] = None,
    name: Annotated[str, typer.Option(help="name of the checkpoint")] = "scenes32",
) -> None:
    """Measure a shipped checkpoint again, and write its card anew. No training state is needed."""
    import torch

    from gdbench import load_domain
    from gdbench_zoo.export import measure_again
    from gdbench_zoo.families import folder

    torch.set_num_threads(1)
    typer.echo(json.dumps(measure_again(family, into or folder(family), name, load_domain(domain)), indent=1))
