"""`gdbench lpips fetch`: the one file that LPIPS needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gdbench import IntegrityError, MissingFile, sha256

LICENCE = "BSD 3-Clause (torchvision); the weights were trained on ImageNet"

lpips = typer.Typer(help="The perceptual distance of natural images.", no_args_is_help=True)


@lpips.callback()
def group() -> None:
    """A group, so that `fetch` keeps its name."""


@lpips.command()
def fetch(yes: Annotated[bool, typer.Option("--yes", help="accept the licence without being asked")] = False) -> None:
    """Download the backbone of LPIPS (244 MB), and check its hash. The licence is shown first."""
    from gdbench_lpips import backbone

    target = backbone.folder() / backbone.FILE
    typer.echo(f"{backbone.FILE} (244 MB) from {backbone.URL}: licence {LICENCE}")
    if not yes:
        typer.confirm("Download it under this licence?", abort=True)
    download(backbone.URL, target, backbone.HASH)
    typer.echo(f"fetched {target}")


def download(url: str, target: Path, digest: str) -> None:
    """Put the file at ``url`` in place if its SHA-256 begins with ``digest``; a right file that is there is kept.

    Raises MissingFile (network) or IntegrityError (another file, which is not kept).
    """
    import pooch
    import requests

    if target.is_file() and sha256(target).startswith(digest):
        return
    pooch.get_logger().setLevel("WARNING")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        pooch.retrieve(url, None, fname=part.name, path=part.parent)
    except requests.RequestException as error:
        raise MissingFile(f"cannot get {url}: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from None
    found = sha256(part)
    if not found.startswith(digest):
        part.unlink()
        raise IntegrityError(f"{url}: sha256 {found} does not begin with {digest}")
    part.replace(target)
