"""The weights on this machine: shipped with plugins, or in the user's checkpoint folder with a card beside each file.

    <folder>/<family>/<name>.safetensors   weights in the family's own layout, facts in the header
    <folder>/<family>/<name>.json          the card: where they come from, licence, hashes
    <folder>/<family>/<file>               an official file as it was downloaded

A path that is given instead of a name is imported first, so that what was run can be found by name ever after.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gdbench.errors import GdbenchError, IntegrityError, MissingFile, PluginError, UsageError, unknown
from gdbench.files import sha256, write_text
from gdbench.specs import NAME, Checkpoint, GeneratorSpec, Lazy, resolve
from gdbench.weights.cards import imported, own_card, plugin_folder, read_card

OWN = "gdbench"  # the format name of files in a family's own layout
UNKNOWN = "unknown"  # domain or licence that nobody stated
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
    """The user's checkpoint folder, in the data directory of the XDG standard."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gdbench" / "checkpoints"


def find(spec: GeneratorSpec, name: str | Path | None, folder: Path, offline: bool = False) -> Resolved:
    """The weights called ``name``, or those in the file or folder ``name``; None is the family's first.

    Their hash is checked. Raises MissingFile with the command that gets them, IntegrityError, or UsageError.
    """
    if not spec.checkpoints and spec.recognise is None and name in (None, NO_WEIGHTS):
        return Resolved(NO_WEIGHTS, None, None, "")
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
    card = import_checkpoint(path, [spec], folder)
    return _checked(card, folder / spec.name / card.file)


def entries(specs: Iterable[GeneratorSpec], folder: Path) -> list[Entry]:
    """All checkpoints of ``specs``: shipped (their names are theirs), official, or what was made of these."""
    found: dict[tuple[str, str], Entry] = {}
    for spec in specs:
        shipped = [card for card in spec.checkpoints if card.shipped]
        official = [card for card in spec.checkpoints if not card.shipped]
        names = {card.name for card in shipped}
        own = [card for card in imported(spec, folder) if card.name not in names]
        for card in (*shipped, *official, *own):
            path = (plugin_folder(spec) if card.shipped else folder / spec.name) / card.file
            found[spec.name, card.name] = Entry(spec.name, card, path, path.is_file())
    return list(found.values())


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
    target.parent.mkdir(parents=True, exist_ok=True)
    fetch(card.url, target, _published(card) or None, progress)
    try:
        return import_checkpoint(target, [spec], folder, name=name)
    except GdbenchError as error:
        if card.sha256:  # the right file, so it is not to blame
            raise
        target.unlink()
        raise IntegrityError(f"{error} (what came from {card.url} was removed)") from None


def licence_of(checkpoint: Checkpoint) -> str:
    """What a user must read before a download: licence, size and source, in one line."""
    return f"{checkpoint.file} ({_size(checkpoint)}) from {checkpoint.url}: licence {checkpoint.licence}"


def import_checkpoint(
    path: Path,
    specs: Iterable[GeneratorSpec],
    folder: Path,
    *,
    name: str | None = None,
    domain: str | None = None,
    licence: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Convert a file or folder, recognised by content among ``specs``, and keep it in ``folder`` with a card.

    name: default from the file's; domain, licence: default from the official card of the same hash or name, the domain
    else from the family.
    facts: overrides of what the file does not say, JSON values under the names in the card. Importing the same again
    gives the same card.
    Raises UsageError when no family, or more than one, recognises it; IntegrityError for what cannot be read.
    """
    path, given = Path(path), json.loads(json.dumps(dict(facts or {})))  # as the card will give them back
    spec, form = _recognised(path, list(specs))
    source = _source_hash(path)
    wanted = {"name": name, "domain": domain, "licence": licence}
    if same := _same(spec, folder, source, given, wanted):
        return same
    known = _described(path, spec, form, source, name)
    name = _free_name(spec, folder, known.name if name is None else name, source, given, fixed=name is not None)
    card = Checkpoint(
        name=name,
        domain=domain or known.domain,
        file=f"{name}.safetensors",
        licence=licence or known.licence,
        card={"family": spec.name, "format": form, "source": path.name, "source_sha256": source, "given": given},
    )
    (folder / spec.name).mkdir(parents=True, exist_ok=True)
    return _convert(path, spec, card, folder / spec.name)


def _described(path: Path, spec: GeneratorSpec, form: str, source: str, name: str | None) -> Checkpoint:
    """What is known of a source: its official card, the card beside a file of ours, or next to nothing."""
    for card in spec.checkpoints:
        if (_published(card) and source.startswith(_published(card))) or (card.name == name and not card.shipped):
            return card
    if form != OWN:
        return Checkpoint(_slug(path), spec.domain or UNKNOWN, "")
    from gdbench.tensors import read_facts

    beside = read_card(path.with_suffix(".json"))
    return beside or Checkpoint(_slug(path), str(read_facts(path).get("domain", UNKNOWN)), "")


def _convert(path: Path, spec: GeneratorSpec, card: Checkpoint, folder: Path) -> Checkpoint:
    """Write weights and card; nothing stays behind of a file that does not load."""
    from gdbench.tensors import save_weights

    target = folder / card.file
    tensors, facts = _content(path, spec, str(card.card["format"]))
    notes = facts.pop("notes", [])
    known = facts.keys() - {"format", "family", "domain"}
    if strange := sorted(card.card["given"].keys() - known):
        raise unknown(f"fact of {card.card['format']}", strange[0], known)
    facts = {"format": card.card["format"], **facts, **card.card["given"], "family": spec.name, "domain": card.domain}
    save_weights(target, tensors, facts)
    try:
        shape, spaces = _tried(spec, target)
    except BaseException:
        target.unlink()
        raise
    about = {**card.card, "facts": facts, "notes": notes, "image_shape": shape, "spaces": spaces}
    card = replace(card, sha256=sha256(target), size=target.stat().st_size, resolution=shape[-1], card=about)
    write_text(target.with_suffix(".json"), json.dumps(asdict(card), indent=2) + "\n")
    return card


def _content(path: Path, spec: GeneratorSpec, form: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    from gdbench.tensors import read_facts
    from gdbench.weights.reading import load_weights

    if form == OWN:
        return load_weights(path), read_facts(path)
    if spec.convert is None:
        raise PluginError(f"generator {spec.name}: recognises {form} but offers no convert")
    tensors, facts = _asked(spec, path, spec.convert, path)
    return tensors, dict(facts)


def _tried(spec: GeneratorSpec, path: Path) -> tuple[list[int], list[str]]:
    """Image shape and spaces of the generator, which proves that the converted weights load."""
    import torch

    generator = _asked(spec, path, spec.load, path, spec.params(), torch.device("cpu"))
    return list(generator.image_shape), list(generator.spaces)


def _asked(spec: GeneratorSpec, path: Path, question: Lazy, *arguments: Any) -> Any:
    """What a plugin says to a stranger's file; the file is to blame for whatever it raises."""
    try:
        return resolve(question)(*arguments)
    except GdbenchError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise IntegrityError(f"{path.name} does not fit {spec.name}: {reason}") from None


def _recognised(path: Path, specs: Sequence[GeneratorSpec]) -> tuple[GeneratorSpec, str]:
    from gdbench.tensors import has_facts, read_facts

    if not path.exists():
        raise MissingFile(f"no such file or folder: {path}")
    if has_facts(path):
        family = read_facts(path).get("family")
        found = [(spec, OWN) for spec in specs if family in (None, spec.name)]
    else:
        found = _claims(path, specs)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{path.name} could belong to {', '.join(spec.name for spec, _ in found)}: say which, --gan NAME"
        )
    raise UsageError(f"{path.name}: weights of no known layout of {', '.join(spec.name for spec in specs)}")


def _claims(path: Path, specs: Sequence[GeneratorSpec]) -> list[tuple[GeneratorSpec, str]]:
    """The families that recognise a file; if there is none, the first error of one that could not read it."""
    found: list[tuple[GeneratorSpec, str]] = []
    faults: list[GdbenchError] = []
    for spec in specs:
        try:
            form = _asked(spec, path, spec.recognise, path) if spec.recognise else None
        except GdbenchError as error:
            faults.append(error)
            continue
        if form:
            found.append((spec, form))
    if faults and not found:
        raise faults[0]
    return found


def _same(
    spec: GeneratorSpec, folder: Path, source: str, given: Mapping[str, Any], wanted: Mapping[str, str | None]
) -> Checkpoint | None:
    """The intact result of an earlier import of the same source, unless another name, domain or licence is wanted."""
    for card in imported(spec, folder):
        same = _identity(card) == (source, given) or card.sha256 == source
        same = same and all(value in (None, getattr(card, field)) for field, value in wanted.items())
        path = folder / spec.name / card.file
        if same and path.is_file() and sha256(path) == card.sha256:
            return card
    return None


def _free_name(spec: GeneratorSpec, folder: Path, name: str, source: str, given: Mapping[str, Any], fixed: bool) -> str:
    """``name``; where other weights have it, with the start of the hash appended, or UsageError if it is ``fixed``."""
    if not NAME.fullmatch(name):
        raise UsageError(f"checkpoint name {name!r}: use lower-case letters, digits, '.', '_' and '-', 64 at most")
    wanted = (source, dict(given))
    taken = {card.name: _identity(card) for card in imported(spec, folder)}
    official = {card.name: _published(card) or ("none" if card.shipped else "") for card in spec.checkpoints}
    if taken.get(name, wanted) == wanted and source.startswith(official.get(name, "")):
        return name
    if fixed:
        raise UsageError(f"{spec.name}/{name} is another checkpoint: choose another name")
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest() if given else source
    return f"{name[:55]}-{digest[:8]}"


def _identity(card: Checkpoint) -> tuple[Any, Any]:
    return card.card.get("source_sha256"), card.card.get("given")


def _slug(path: Path) -> str:
    stem = path.name if path.is_dir() else path.stem
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:64] or "unnamed"


def _source_hash(path: Path) -> str:
    """The SHA-256 of a file; of a folder, that of the names and hashes of its files."""
    if path.is_file():
        return sha256(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    lines = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _first(spec: GeneratorSpec, known: Mapping[str, Entry]) -> Entry:
    """The checkpoint that is meant when none is named: ready before preview, present before absent."""
    if not known:
        raise MissingFile(f"{spec.name} has no checkpoint here: give the path of official weights as --checkpoint")
    cards = known.values()
    return min(cards, key=lambda e: (not e.checkpoint.shipped, e.checkpoint.status != "ready", not e.present))


def _open(spec: GeneratorSpec, entry: Entry, folder: Path, offline: bool) -> Resolved:
    card = entry.checkpoint
    if not entry.present:
        raise MissingFile(_how_to_get(spec, card, entry.path, offline))
    found = _checked(card, entry.path)
    if card.shipped or "source_sha256" in card.card:
        return found
    card = import_checkpoint(entry.path, [spec], folder, name=card.name)  # official, not converted yet
    return _checked(card, folder / spec.name / card.file)


def _checked(card: Checkpoint, path: Path) -> Resolved:
    digest = sha256(path)
    if not digest.startswith(_published(card)):
        said = _published(card)
        raise IntegrityError(f"{path}: sha256 is {digest}, its card says {said}; delete it and get it again")
    return Resolved(card.name, path, card, digest)


def _published(card: Checkpoint) -> str:
    """What is known of the SHA-256 of a card's file: all of it, its first digits, or nothing."""
    return card.sha256 or str(card.card.get("sha256_starts", ""))


def _how_to_get(spec: GeneratorSpec, card: Checkpoint, target: Path, offline: bool = False) -> str:
    if card.shipped:
        return f"{spec.name}/{card.name}: {target} is missing from the installation; install its plugin again"
    if "source_sha256" in card.card:
        return f"{spec.name}/{card.name}: {target} is gone; import its source {card.card.get('source')} again"
    what = f"{spec.name}/{card.name} is not here: {card.file} ({_size(card)}, sha256 {_published(card) or 'not known'})"
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
    return Verdict(entry.family, name, "ok", "" if _published(entry.checkpoint) else "no hash is known")
