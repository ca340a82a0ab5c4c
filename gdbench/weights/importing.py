"""Importing: a stranger's file or folder, recognised by content, becomes weights of ours and a card beside them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gdbench.errors import GdbenchError, IntegrityError, MissingFile, PluginError, UsageError, unknown
from gdbench.files import sha256, write_text
from gdbench.specs import NAME, Checkpoint, GeneratorSpec, Lazy, resolve
from gdbench.weights.cards import imported, published, read_card

OWN = "gdbench"  # the format name of files in a family's own layout
UNKNOWN = "unknown"  # domain or licence that nobody stated


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
        if (published(card) and source.startswith(published(card))) or (card.name == name and not card.shipped):
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
    official = {card.name: published(card) or ("none" if card.shipped else "") for card in spec.checkpoints}
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
