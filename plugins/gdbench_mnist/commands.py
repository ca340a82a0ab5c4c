"""`gdbench mnist fetch`: the files that a training needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MIRRORS = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

mnist = typer.Typer(help="The images of handwritten digits.", no_args_is_help=True)


@mnist.callback()
def group() -> None:
    """A group, so that `fetch` keeps its name."""


@mnist.command()
def fetch(
    into: Annotated[Path | None, typer.Option(help="folder (default: GDBENCH_MNIST, else the user's own)")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="accept the licence without being asked")] = False,
) -> None:
    """Download MNIST (12 MB), and check each file's hash. Only training needs it. The licence is shown first."""
    from gdbench_mnist.files import LICENCE, folder

    target = folder(into)
    typer.echo(f"MNIST (12 MB) from {MIRRORS[0]}: licence {LICENCE}")
    if not yes:
        typer.confirm("Download it under this licence?", abort=True)
    for name, digest in SHA256.items():
        download(name, digest, target)
    typer.echo(f"fetched {target}")


def download(name: str, digest: str, target: Path, mirrors: tuple[str, ...] = MIRRORS) -> None:
    """Put one file into the folder `target` from the first mirror that gives it; a right file that is there is kept.

    Raises MissingFile (no mirror answers) or IntegrityError (another file, which is not kept).
    """
    from gdbench import MissingFile, fetch_file

    faults = []
    for mirror in mirrors:
        try:
            return fetch_file(mirror + name, target / name, digest)
        except MissingFile as error:
            faults.append(str(error))
    raise MissingFile("; ".join(faults))
