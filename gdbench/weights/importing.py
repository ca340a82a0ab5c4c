"""Importing: a stranger's file or folder, recognised by content, becomes weights of ours and a card beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from gdbench.errors import IntegrityError, PluginError, unknown
from gdbench.files import sha256, write_text
from gdbench.home import writing
from gdbench.specs import Checkpoint, GeneratorSpec
from gdbench.streams import Stream
from gdbench.tensors import read_facts, save_weights
from gdbench.weights.cards import UNKNOWN, imported, published, read_card
from gdbench.weights.contents import not_finite
from gdbench.weights.naming import Identity, free_name, identity, proposed, slug
from gdbench.weights.reading import load_weights
from gdbench.weights.recognising import OWN, Found, asked, recognised, trial

IMAGES = 2  # that are rendered of every new file
LARGEST = 4096  # pixels: no generator that anybody published is larger


def import_checkpoint(
    path: Path,
    specs: Iterable[GeneratorSpec],
    folder: Path,
    *,
    name: str | None = None,
    domain: str | None = None,
    licence: str | None = None,
    facts: Mapping[str, Any] | None = None,
    key: str = "",
) -> Checkpoint:
    """Convert a file or folder, recognised by content among ``specs``, and keep it in ``folder`` with a card.

    name: default from the file's, or its folder's where that says nothing; domain, licence: default from the official
    card of the same hash or name, the domain else from the family. key: the part of a wrapped file that is meant.
    facts: overrides of what the file does not say, JSON values under the names in the card. Importing the same again
    gives the same card; a file that ships with its family gives that one.
    Raises UsageError when no family, or more than one, recognises it; IntegrityError for what cannot be read, holds
    numbers that are not finite, or renders images that are not.
    """
    given = json.loads(json.dumps(dict(facts or {})))  # as the card will give them back
    found = recognised(Path(path), list(specs), key)
    spec, source = found.spec, _source_hash(found.source)
    wanted = {"name": name, "domain": domain, "licence": licence}
    same = {"source_sha256": source, "given": given, **({"key": found.key} if found.key else {})}
    if known := _same(spec, folder, source, identity(Checkpoint("", "", "", card=same)), wanted):
        return known
    described = _described(found, source, name)
    card = Checkpoint(
        name="",
        domain=domain or described.domain,
        file="",
        licence=licence or described.licence,
        card={"family": spec.name, "format": found.form, "source": found.source.name, **same},
    )
    name = free_name(
        spec,
        described.name if name is None else name,
        fixed=name is not None,
        wanted=identity(card),
        domain=card.domain,
        there=imported(spec, folder),
    )
    return _convert(found, replace(card, name=name, file=f"{name}.safetensors"), folder / spec.name)


def _described(found: Found, source: str, name: str | None) -> Checkpoint:
    """What is known of a source: its official card, the card beside a file of ours, or next to nothing."""
    spec = found.spec
    for card in spec.checkpoints:
        if (published(card) and source.startswith(published(card))) or (card.name == name and not card.shipped):
            return card
    if found.form != OWN:
        return Checkpoint(proposed(found.source, spec.name), spec.domain or UNKNOWN, "")
    domain = str(read_facts(found.source).get("domain", UNKNOWN))
    return read_card(found.source.with_suffix(".json")) or Checkpoint(slug(found.source.stem), domain, "")


def _convert(found: Found, card: Checkpoint, folder: Path) -> Checkpoint:
    """Write weights and card. They take their places together, once the weights rendered: a fault leaves what was."""
    tensors, facts = _content(found)
    notes = facts.pop("notes", [])
    known = facts.keys() - {"format", "family", "domain"}
    if strange := sorted(card.card["given"].keys() - known):
        raise unknown(f"fact of {found.form}", strange[0], known)
    _check_finite(found, tensors)
    facts = {"format": found.form, **facts, **card.card["given"], "family": found.spec.name, "domain": card.domain}
    target = folder / card.file
    with writing(target.parent), _in_passing(target) as part:
        save_weights(part, tensors, facts)
        shape, spaces = _tried(found, part)
        about = {**card.card, "facts": facts, "notes": notes, "image_shape": shape, "spaces": spaces}
        card = replace(card, sha256=sha256(part), size=part.stat().st_size, resolution=shape[-1], card=about)
        text = json.dumps(asdict(card), indent=2) + "\n"
        part.replace(target)
        write_text(target.with_suffix(".json"), text)
    return card


@contextmanager
def _in_passing(target: Path) -> Iterator[Path]:
    """A place for weights on trial, in the folder of ``target``; nothing is left of it, nor of a folder made for it."""
    part = target.with_name(f".{target.stem[:40]}.trial")
    try:
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        with suppress(OSError):  # it holds other weights
            target.parent.rmdir()
        raise


def _content(found: Found) -> tuple[Mapping[str, Any], dict[str, Any]]:
    if found.form == OWN:
        return load_weights(found.source), read_facts(found.source)
    if found.spec.convert is None:
        raise PluginError(f"generator {found.spec.name}: recognises {found.form} but offers no convert")
    tensors, facts = asked(found.spec, found.source, found.spec.convert, found.source)
    return tensors, dict(facts)


def _check_finite(found: Found, tensors: Mapping[str, Any]) -> None:
    """Raise IntegrityError that names a tensor with NaN or an infinity, as the file calls it where that can be told."""
    bad = not_finite(tensors)
    if not bad:
        return
    name, tensor = next(iter(bad.items()))
    count = int((~torch.isfinite(tensor.float())).sum())
    if found.source.is_file():
        stored = not_finite(load_weights(found.source))
        name = next((other for other, t in stored.items() if t.numel() == tensor.numel()), name)
    raise IntegrityError(
        f"{found.source.name}: its weights are not finite: {name} holds {count} of {tensor.numel()} values that are "
        "NaN or infinite; ask its maker for an earlier checkpoint"
    )


def _tried(found: Found, path: Path) -> tuple[list[int], list[str]]:
    """Image shape and spaces of the generator; that weights load, and render finite images, is proved by doing it."""
    generator = trial(found.spec, path, found.source)
    shape, spaces = list(generator.image_shape), list(generator.spaces)
    if max(shape[1:]) > LARGEST:
        raise IntegrityError(
            f"{found.source.name}: its images have more than {LARGEST} px, which nothing published has"
        )
    if not asked(found.spec, found.source, _renders_numbers, generator):
        raise IntegrityError(f"{found.source.name}: the images that it renders are not finite (NaN or infinite)")
    return shape, spaces


def _renders_numbers(generator: Any) -> bool:
    """Whether the first images of a generator are finite."""
    with torch.no_grad():
        codes = generator.sample(IMAGES, generator.spaces[0], Stream(0, "import").at())
        return all(bool(torch.isfinite(generator.render(codes[i : i + 1])).all()) for i in range(IMAGES))


def _same(
    spec: GeneratorSpec, folder: Path, source: str, same: Identity, wanted: Mapping[str, str | None]
) -> Checkpoint | None:
    """The intact result of an earlier import of the same source, unless another name, domain or licence is wanted.

    A shipped checkpoint is its own result.
    """
    shipped = [card for card in spec.checkpoints if card.shipped and card.sha256 == source]
    for card in (*shipped, *imported(spec, folder)):
        fits = identity(card) == same or card.sha256 == source
        fits = fits and all(value in (None, getattr(card, field)) for field, value in wanted.items())
        path = folder / spec.name / card.file
        if fits and (card.shipped or (path.is_file() and sha256(path) == card.sha256)):
            return card
    return None


def _source_hash(path: Path) -> str:
    """The SHA-256 of a file; of a folder, that of the names and hashes of its files."""
    if path.is_file():
        return sha256(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    lines = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
