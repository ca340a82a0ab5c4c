"""Files that a domain needs and does not ship: fetched once, by name, and checked by hash at every use.

They lie in the user's checkpoint folder, as ``<name>/<file>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from gdbench.errors import IntegrityError, MissingFile
from gdbench.files import sha256
from gdbench.specs import ExtraFile
from gdbench.weights.checkpoints import Verdict, copied_by_hand, default_folder


def place(extra: ExtraFile, folder: Path | None = None) -> Path:
    """Where the file lies, or would."""
    return (folder or default_folder()) / extra.name / extra.file


def present(extra: ExtraFile, folder: Path | None = None) -> Path:
    """The path of a file that is there, unread. Raises MissingFile with the command that gets it."""
    path = place(extra, folder)
    if not path.is_file():
        what = f"{extra.summary}: {path} is not here ({extra.size / 1e6:.0f} MB, from {extra.url})"
        raise MissingFile(f"{what}: gdbench checkpoint fetch {extra.name}")
    return path


def all_present(extras: Iterable[ExtraFile], folder: Path | None = None) -> None:
    """Raise one MissingFile that names every file that is not there."""
    missing = []
    for extra in extras:
        try:
            present(extra, folder)
        except MissingFile as error:
            missing.append(str(error))
    if missing:
        raise MissingFile("; ".join(missing))


def checked(extra: ExtraFile, folder: Path | None = None) -> Path:
    """The path of a file that is there and right. Raises MissingFile, or IntegrityError for another hash."""
    path = present(extra, folder)
    found = sha256(path)
    if not found.startswith(extra.sha256):
        remedy = f"delete it, then: gdbench checkpoint fetch {extra.name}"
        raise IntegrityError(f"{path}: sha256 {found} does not begin with {extra.sha256}; {remedy}")
    return path


def fetch_extra(
    extra: ExtraFile, folder: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Download the file unless the right one is there. Show ``licence_of_extra`` to the user before.

    Raises MissingFile (network), IntegrityError (another file, which is not kept), or Busy.
    """
    from gdbench.weights.download import fetch

    target = place(extra, folder)
    with copied_by_hand(target):
        fetch(extra.url, target, extra.sha256, progress)
    return target


def licence_of_extra(extra: ExtraFile) -> str:
    """What a user must read before a download: licence, size and source, in one line."""
    return f"{extra.file} ({extra.size / 1e6:.0f} MB) from {extra.url}: licence {extra.licence}"


def verdict(extra: ExtraFile, folder: Path | None = None) -> Verdict:
    """Whether the file is there and right, as ``gdbench checkpoint verify`` shows it."""
    try:
        checked(extra, folder)
    except MissingFile:
        return Verdict(extra.name, extra.file, "missing", str(place(extra, folder)))
    except (IntegrityError, OSError) as error:
        return Verdict(extra.name, extra.file, "damaged", str(error))
    return Verdict(extra.name, extra.file, "ok")
