"""Which family a stranger's file or folder belongs to, and which part of it: judged by content, by the families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gdbench.errors import GdbenchError, IntegrityError, MissingFile, UsageError
from gdbench.files import sha256
from gdbench.specs import GeneratorSpec, Lazy, resolve
from gdbench.tensors import has_facts, read_facts
from gdbench.weights.parts import described, parts
from gdbench.weights.reading import is_weights, load_weights, shortened
from gdbench.weights.source import Source

OWN = "gdbench"  # the format name of files in a family's own layout


@dataclass(frozen=True)
class Found:
    """What a file was recognised as: the family, its format, and the file or folder, with the part of it that is meant.

    source: what ``convert`` is called with; of a folder with one file of weights that file.
    """

    spec: GeneratorSpec
    form: str
    source: Source

    @property
    def key(self) -> str:
        """The part that is meant; empty for all of the file."""
        return self.source.key


def recognised(path: Path, specs: Sequence[GeneratorSpec], key: str = "") -> Found:
    """The one family among ``specs`` that knows a file or folder, or one part of it; ``key`` names the part.

    Raises MissingFile, IntegrityError for what cannot be read, and UsageError where no family or several know it.
    """
    if not _exists(path):
        raise MissingFile(f"no such file or folder: {shortened(str(path))}")
    source = Source.of(path, key)
    found, faults = _claims(source, specs)
    if not found and path.is_dir() and (file := _only_file(path)):
        source = Source.of(file, key)
        found, faults = _claims(source, specs)
    if not found and not faults and not key and not source.is_dir():
        found = _claims_of_parts(source, specs)
    if not found and faults:
        raise faults[0]
    if not found:
        raise UsageError(_unknown(source, specs))
    if len({one.key for one in found}) > 1:
        names = ", ".join(f"{one.key} ({one.spec.name})" for one in found)
        raise UsageError(f"{source.name} holds several generators: {names}: say which, --key NAME")
    if len(found) > 1:
        names = ", ".join(one.spec.name for one in found)
        raise UsageError(f"{source.name} could belong to {names}: say which, --gan NAME")
    return found[0]


def asked(spec: GeneratorSpec, path: Path, question: Lazy, *arguments: Any) -> Any:
    """What a plugin says to a stranger's file; the file is to blame for whatever it raises."""
    try:
        return resolve(question)(*arguments)
    except GdbenchError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise IntegrityError(f"{shortened(path.name)} does not fit {spec.name}: {reason}") from None


def trial(spec: GeneratorSpec, path: Path, source: Path) -> Any:
    """The generator of weights in a family's own layout, on the CPU. Raises IntegrityError, which names ``source``,
    where they do not fit."""
    return asked(spec, source, spec.load, path, spec.params(), torch.device("cpu"))


def _claims(source: Source, specs: Sequence[GeneratorSpec]) -> tuple[list[Found], list[GdbenchError]]:
    """The families that recognise a source, and the errors of those that could not read it."""
    if has_facts(source):
        return _owners(source, specs), []
    found: list[Found] = []
    faults: list[GdbenchError] = []
    for spec in specs:
        try:
            form = asked(spec, source, spec.recognise, source) if spec.recognise else None
        except GdbenchError as error:
            faults.append(error)
            continue
        if form:
            found.append(Found(spec, form, source))
    return found, faults


def _owners(source: Source, specs: Sequence[GeneratorSpec]) -> list[Found]:
    """The families of a file in a family's own layout: the one it names, or ships it, or those that can load it."""
    family = read_facts(source).get("family")
    if family is None:
        digest = sha256(source)
        shipping = [spec for spec in specs if any(c.shipped and c.sha256 == digest for c in spec.checkpoints)]
        return [Found(spec, OWN, source) for spec in shipping or specs if shipping or _loads(spec, source)]
    return [Found(spec, OWN, source) for spec in specs if spec.name == family]


def _loads(spec: GeneratorSpec, source: Source) -> bool:
    try:
        trial(spec, source, source)
    except GdbenchError:
        return False
    return True


def _claims_of_parts(source: Source, specs: Sequence[GeneratorSpec]) -> list[Found]:
    """The parts of a wrapped file that families recognise; none lies within another of the same tensors."""
    try:
        found = parts(load_weights(source))
    except GdbenchError:
        return []
    chosen: dict[frozenset[int], list[Found]] = {}
    for key, tensors in found.items():
        own = frozenset(map(id, tensors.values()))
        if not key or any(own <= other for other in chosen):
            continue
        if claims := _claims(source.at(key), specs)[0]:
            chosen[own] = claims
    return [claim for claims in chosen.values() for claim in claims]


def _only_file(folder: Path) -> Path | None:
    """The one file of a folder that holds weights, judged by its first bytes; None if there are more or none."""
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".") and is_weights(file)]
    return files[0] if len(files) == 1 else None


def _unknown(source: Source, specs: Sequence[GeneratorSpec]) -> str:
    """Why nobody recognises a source, with the parts that it has."""
    names = ", ".join(spec.name for spec in specs)
    part = f" in its part {source.key}" if source.key else ""
    text = f"{source.name}: weights of no known layout of {names}{part}"
    if source.is_dir():
        files = [file.name for file in sorted(source.iterdir()) if is_weights(file)]
        return f"{text}; give one of its files of weights: {', '.join(files[:8])}" if files else text
    try:
        found = described(load_weights(source.at("")))
    except GdbenchError:
        found = ""
    return f"{text}; its parts: {found}; a part is picked with --key NAME" if found else text


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False
