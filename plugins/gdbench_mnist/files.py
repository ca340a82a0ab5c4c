"""Where the files of MNIST are: the held-out images come with this package, the training images with the user."""

from __future__ import annotations

import os
from pathlib import Path

from gdbench import MissingFile, data_folder
from gdbench_mnist.idx import Bytes, read_pair

VARIABLE = "GDBENCH_MNIST"
LICENCE = "Creative Commons Attribution-ShareAlike 3.0 (as commonly stated; Y. LeCun, C. Cortes, C. Burges)"
TRAIN, TEST = "train", "t10k"
TRAINING_PART = 8_000
"""Of the 10,000 images of `t10k`, the first of which train where the 60,000 are not there; the last 2,000 never do."""

HELD_OUT = Path(__file__).parent / "data"


def own_folder() -> Path:
    """The user's folder for these files, in gdbench's data folder."""
    return data_folder() / "mnist"


def folder(given: Path | None = None) -> Path:
    """The folder to look in: the given one, that of the environment variable GDBENCH_MNIST, or the user's own."""
    named = given or os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else own_folder()


def training(given: Path | None = None) -> tuple[Bytes, Bytes]:
    """Images (n, 28, 28) and labels (n,) to train on: the 60,000 of `train`, else the first 8,000 of `t10k`.

    Raises MissingFile where neither set is in the folder, IntegrityError where a file is damaged.
    """
    place = folder(given)
    if pair := _pair(place, TRAIN):
        return read_pair(*pair)
    if pair := _pair(place, TEST):
        images, labels = read_pair(*pair)
        return images[:TRAINING_PART], labels[:TRAINING_PART]
    raise MissingFile(
        f"no MNIST training images in {place}: it must hold train-images-idx3-ubyte and train-labels-idx1-ubyte, or "
        f"t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (.gz or not); name another folder with --data or "
        f"{VARIABLE}, or download them with: gdbench mnist fetch"
    )


def held_out() -> tuple[Bytes, Bytes]:
    """The shipped 2,000 images (n, 28, 28) and labels (n,): the last of `t10k`, which no training here has seen."""
    return read_pair(HELD_OUT / "held-out-images-idx3-ubyte.gz", HELD_OUT / "held-out-labels-idx1-ubyte.gz")


def _pair(place: Path, part: str) -> tuple[Path, Path] | None:
    """The files of images and labels, gzipped or not, where both are there."""
    images, labels = (_either(place / f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    return (images, labels) if images and labels else None


def _either(plain: Path) -> Path | None:
    return next((path for path in (plain, plain.with_name(f"{plain.name}.gz")) if path.is_file()), None)
