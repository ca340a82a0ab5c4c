"""The command `gdbench import-directions`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer


def import_directions(
    files: Annotated[
        list[Path], typer.Argument(help="npy, npz, csv, json, safetensors or torch files with directions")
    ],
    gan: Annotated[str, typer.Option(help="the generator that they are of")],
    checkpoint: Annotated[str | None, typer.Option(help="name or path of its weights")] = None,
    space: Annotated[str | None, typer.Option(help="where the directions live; the generator's first space")] = None,
    label: Annotated[str | None, typer.Option(help="what they are called on leaderboards; the file's name")] = None,
    seed: Annotated[int, typer.Option(help="seed of the evaluation")] = 0,
    tier: Annotated[str, typer.Option(help="budget: quick, standard, paper or smoke")] = "quick",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    out: Annotated[Path, typer.Option(help="folder for run folders")] = Path("runs"),
    offline: Annotated[bool, typer.Option("--offline", help="never fetch weights")] = False,
) -> None:
    """Bring published or home-made directions in as a run, calibrated and measured like any other.

    Reads rows of numbers, InterFaceGAN's boundaries, GANSpace's components, deformators of Voynov and Babenko's code,
    support sets of WarpedGANSpace's, and what gdbench export writes. Of several files the directions are put together.
    No code from a file is run.
    """
    from gdbench import run
    from gdbench_imported.discover import keep
    from gdbench_imported.readers import read_all

    found = read_all(files)
    digits, (k, dim) = keep(found), found.shape
    typer.echo(f"{k} directions of dimension {dim} ({found.kind}), kept as {digits}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", files[0].stem if label is None else label)[:64]
    made = run(
        gan,
        "imported",
        checkpoint=checkpoint,
        space=space,
        k=k,
        seed=seed,
        tier=tier,
        device=device,
        out=out,
        offline=offline,
        method_params={"file": digits, "label": name},
    )
    for row in made.scores.dropna(subset=["value"]).itertuples():
        typer.echo(f"{row.metric}.{row.column} {row.value:.4g}")
    reason = f": {made.record.reason}" if made.record.reason else ""
    typer.echo(f"{made.record.status}{reason}\nnext: gdbench show {made.folder}")
    raise typer.Exit(made.record.status != "done")
