"""The weights on this machine: shipped with plugins, or in the user's checkpoint folder with a card beside each file.

    <folder>/<family>/<name>.safetensors   weights in the family's own layout, facts in the header
    <folder>/<family>/<name>.json          the card: where they come from, licence, hashes
    <folder>/<family>/<file>               an official file as it was downloaded

A path that is given instead of a name is imported first, so that what was run can be found by name ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gdbench.errors import GdbenchError, IntegrityError, MissingFile, unknown
from gdbench.files import sha256
from gdbench.home import data_folder
from gdbench.specs import Checkpoint, GeneratorSpec
from gdbench.weights.cards import imported, own_card, plugin_folder, published

NO_WEIGHTS = "none"  # the checkpoint name of a family that needs no file


@dataclass(frozen=True)
class Resolved:
    """Weights to load: their name, file and SHA-256 (path None for a family without weights), and their card."""

    name: str
    path: Path | None
    checkpoint: Checkpoint | None
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A checkpoint that a family offers or the user imported, and whether its file is here."""

    family: str
    checkpoint: Checkpoint
    path: Path
    present: bool


@dataclass(frozen=True)
class Verdict:
    """What ``verify`` found out about one checkpoint."""

    family: str
    name: str
    state: Literal["ok", "missing", "damaged"]
    detail: str = ""


def default_folder() -> Path:
    """The checkpoint folder, in the user's data folder."""
    return data_folder() / "checkpoints"


def find(spec: GeneratorSpec, name: str | Path | None, folder: Path, offline: bool = False) -> Resolved:
    """The weights called ``name``, or those in the file or folder ``name``; None is the family's first.

    Their hash is checked. Raises MissingFile with the command that gets them, IntegrityError, or UsageError.
    """
    if not spec.checkpoints and spec.recognise is None and name in (None, NO_WEIGHTS):
        return Resolved(NO_WEIGHTS, None, None, spec.sha256)
    known = {entry.checkpoint.name: entry for entry in entries([spec], folder)}
    if name is None:
        return _open(spec, _first(spec, known), folder, offline)
    if str(name) in known:
        return _open(spec, known[str(name)], folder, offline)
    path = Path(name).expanduser()
    if not path.exists():
        if len(path.parts) > 1 or path.suffix:
            raise MissingFile(f"{spec.name}: no checkpoint and no file or folder {str(name)!r}")
        raise unknown(f"{spec.name} checkpoint", str(name), known)
    for entry in known.values():
        if entry.present and entry.path.samefile(path):
            return _open(spec, entry, folder, offline)
    card = _imported(path, spec, folder)
    return _checked(card, _place(spec, card, folder))


def named(spec: GeneratorSpec, name: str | Path | None, folder: Path) -> tuple[str, str]:
    """Name and SHA-256 of the weights that ``find`` would open, be they here or not; the hash only of shipped ones."""
    if not spec.checkpoints and spec.recognise is None and name in (None, NO_WEIGHTS):
        return NO_WEIGHTS, ""
    known = {entry.checkpoint.name: entry for entry in entries([spec], folder)}
    entry = _first(spec, known) if name is None else known.get(str(name))
    if entry is None:
        return Path(str(name)).stem, ""
    card = entry.checkpoint
    return card.name, (card.sha256 or "") if card.shipped else ""


def entries(specs: Iterable[GeneratorSpec], folder: Path) -> list[Entry]:
    """All checkpoints of ``specs``: shipped (their names are theirs), official, or what was made of these."""
    found: dict[tuple[str, str], Entry] = {}
    for spec in specs:
        shipped = [card for card in spec.checkpoints if card.shipped]
        official = [card for card in spec.checkpoints if not card.shipped]
        names = {card.name for card in shipped}
        own = [card for card in imported(spec, folder) if card.name not in names]
        for card in (*shipped, *official, *own):
            path = _place(spec, card, folder)
            found[spec.name, card.name] = Entry(spec.name, card, path, path.is_file())
    return list(found.values())


def _imported(path: Path, spec: GeneratorSpec, folder: Path, name: str | None = None) -> Checkpoint:
    from gdbench.weights.importing import import_checkpoint  # it imports torch, which lists of checkpoints do not need

    return import_checkpoint(path, [spec], folder, name=name)


def _place(spec: GeneratorSpec, card: Checkpoint, folder: Path) -> Path:
    return (plugin_folder(spec) if card.shipped else folder / spec.name) / card.file


def verify(specs: Iterable[GeneratorSpec], folder: Path) -> list[Verdict]:
    """Read every checkpoint of ``specs`` and compare its hash with its card; weights without a card are damaged."""
    specs = list(specs)
    cardless = [
        Verdict(spec.name, path.stem, "damaged", f"{path}: its card cannot be read; import its source again")
        for spec in specs
        for path in sorted((folder / spec.name).glob("*.safetensors"))
        if own_card(path.with_suffix(".json")) is None
    ]
    return [*map(_verdict, entries(specs, folder)), *cardless]


def fetch_checkpoint(
    spec: GeneratorSpec, name: str, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Checkpoint:
    """Download the official file of ``name`` and import it. Show ``licence_of`` to the user before.

    Raises MissingFile when no address is known or the network fails, IntegrityError for wrong content.
    """
    from gdbench.weights.download import fetch

    official = {card.name: card for card in spec.checkpoints if not card.shipped}
    if name not in official:
        raise unknown(f"official {spec.name} checkpoint", name, official)
    card, target = official[name], folder / spec.name / official[name].file
    if card.url is None:
        raise MissingFile(_how_to_get(spec, card, target))
    with copied_by_hand(target):
        fetch(card.url, target, published(card) or None, progress)
    try:
        return _imported(target, spec, folder, name)
    except GdbenchError as error:
        if card.sha256:  # the right file, so it is not to blame
            raise
        target.unlink()
        raise IntegrityError(f"{error} (what came from {card.url} was removed)") from None


@contextmanager
def copied_by_hand(target: Path) -> Iterator[None]:
    """A download that fails says where to put the file that another machine, or a browser, can get."""
    try:
        yield
    except MissingFile as error:
        raise MissingFile(
            f"{error}; without a network, copy the file by hand to {target}, then give the same command again"
        ) from None


def licence_of(checkpoint: Checkpoint) -> str:
    """What a user must read before a download: licence, size and source, in one line."""
    return f"{checkpoint.file} ({_size(checkpoint)}) from {checkpoint.url}: licence {checkpoint.licence}"


def _first(spec: GeneratorSpec, known: Mapping[str, Entry]) -> Entry:
    """The checkpoint that is meant when none is named: the family's first, shipped and present before others."""
    if not known:
        raise MissingFile(f"{spec.name} has no checkpoint here: give the path of official weights as --checkpoint")
    cards = known.values()
    return min(cards, key=lambda e: (not e.checkpoint.shipped, not e.present))


def _open(spec: GeneratorSpec, entry: Entry, folder: Path, offline: bool) -> Resolved:
    card = entry.checkpoint
    if not entry.present:
        raise MissingFile(_how_to_get(spec, card, entry.path, offline))
    found = _checked(card, entry.path)
    if card.shipped or "source_sha256" in card.card:
        return found
    card = _imported(entry.path, spec, folder, card.name)  # official, not converted yet
    return _checked(card, folder / spec.name / card.file)


def _checked(card: Checkpoint, path: Path) -> Resolved:
    digest = sha256(path)
    if not digest.startswith(published(card)):
        said = published(card)
        raise IntegrityError(f"{path}: sha256 is {digest}, its card says {said}; delete it and get it again")
    return Resolved(card.name, path, card, digest)


def _how_to_get(spec: GeneratorSpec, card: Checkpoint, target: Path, offline: bool = False) -> str:
    if card.shipped:
        return f"{spec.name}/{card.name}: {target} is missing from the installation; install its plugin again"
    if "source_sha256" in card.card:
        return f"{spec.name}/{card.name}: {target} is gone; import its source {card.card.get('source')} again"
    what = f"{spec.name}/{card.name} is not here: {card.file} ({_size(card)}, sha256 {published(card) or 'not known'})"
    if card.url is None:
        page = card.card.get("page", "its authors")
        return f"{what} must be downloaded by hand from {page}; then: gdbench checkpoint import FILE --name {card.name}"
    where = "on a machine with a network, or without --offline: " if offline else ""
    return f"{what} from {card.url} to {target}; {where}gdbench checkpoint fetch {spec.name} {card.name}"


def _size(card: Checkpoint) -> str:
    if card.size:
        return f"{card.size / 1e6:.1f} MB"
    return f"about {card.card['megabytes']} MB" if "megabytes" in card.card else "size not known"


def _verdict(entry: Entry) -> Verdict:
    name = entry.checkpoint.name
    if not entry.present:
        return Verdict(entry.family, name, "missing", str(entry.path))
    try:
        _checked(entry.checkpoint, entry.path)
    except (IntegrityError, OSError) as error:
        return Verdict(entry.family, name, "damaged", str(error))
    return Verdict(entry.family, name, "ok", "" if published(entry.checkpoint) else "no hash is known")
