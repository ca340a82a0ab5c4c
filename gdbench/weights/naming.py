"""Names of imported weights: what the file says, else its folder and family, and never one that other weights have."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gdbench.errors import UsageError
from gdbench.specs import NAME, Checkpoint, GeneratorSpec
from gdbench.weights.cards import UNKNOWN, published

LENGTH = 64
_HOW_SAVED = (
    "g d gen net netg netgs generator generators ema gema smooth model models checkpoint checkpoints ckpt ckpts weight "
    "weights network networks snapshot snapshots state states dict best last final latest epoch epochs step steps iter "
    "iters iteration iterations kimg k pytorch torch pickle full only converted copy file params save saved saves "
    "backup version v x untitled new bin pt pth pkl safetensors"
)
_FOLDERS = (
    "downloads download desktop documents tmp temp home root data pretrained results result runs run output outputs "
    "out files training train logs log lightning lightninglogs mnt media users user"
)
SAYS_NOTHING = frozenset(_HOW_SAVED.split())
"""Words that tell how a file was saved and not what it shows; numbers count the same."""
COMMON_FOLDERS = frozenset(_FOLDERS.split())
NEAREST = 3  # folders that are asked for a name, from the file upwards

Identity = tuple[Any, ...]


def proposed(path: Path, family: str) -> str:
    """A name for weights of ``family`` at ``path``: that of the file or folder, unless it says nothing.

    ``netG_100000_steps.pth`` in a folder ``cats`` is ``<family>-cats-100000``.
    """
    stem = path.name if path.is_dir() else path.stem
    if _tells(stem, SAYS_NOTHING):
        return slug(stem)
    folders = path.absolute().parents[:NEAREST]
    folder = next((f.name for f in folders if f != Path.home() and _tells(f.name, SAYS_NOTHING | COMMON_FOLDERS)), "")
    number = max(re.findall(r"\d+", stem), key=len, default="").lstrip("0")
    words = [slug(folder)[: LENGTH - 24] if folder else "", number[:12]]
    return slug("-".join(filter(None, [family if family not in words[0] else "", *words])))


def slug(text: str) -> str:
    """``text`` in the letters that names have."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("._-")[:LENGTH].rstrip("._-") or "unnamed"


def identity(card: Checkpoint) -> Identity:
    """What makes weights those of a card: their source, the part of it, and the facts that were given."""
    return card.card.get("source_sha256"), card.card.get("key", ""), card.card.get("given")


def free_name(
    spec: GeneratorSpec, name: str, *, fixed: bool, wanted: Identity, domain: str, there: Iterable[Checkpoint]
) -> str:
    """``name``; where other weights or the same with another domain have it, the domain or the hash is appended.

    fixed: the user chose it. there: the cards of what was imported before. Raises UsageError for a ``fixed`` name that
    is taken, and for one that no checkpoint can have.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"checkpoint name {name!r}: use lower-case letters, digits, '.', '_' and '-', {LENGTH} at most"
        )
    taken = {card.name: card for card in there}
    official = {card.name: published(card) or ("none" if card.shipped else "") for card in spec.checkpoints}
    other = _other(taken.get(name), wanted, domain)
    if not other and str(wanted[0]).startswith(official.get(name, "")):
        return name
    if fixed:
        raise UsageError(f"{spec.name}/{name} is {other or 'another checkpoint'}: choose another --name")
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest() if any(wanted[1:]) else wanted[0]
    with_domain = f"{name[: LENGTH - 1 - len(domain)]}-{domain}"
    if other and _same_source(taken[name], wanted) and NAME.fullmatch(with_domain) and with_domain not in taken:
        return with_domain
    return f"{name[: LENGTH - 9]}-{str(digest)[:8]}"


def _other(card: Checkpoint | None, wanted: Identity, domain: str) -> str:
    """What the weights that have a name are, if they may not be replaced; empty if they may.

    The same weights whose domain nobody stated may: no run can have used them.
    """
    if card is None:
        return ""
    if not _same_source(card, wanted):
        return "another checkpoint"
    return "" if card.domain in (domain, UNKNOWN) else f"imported already, as domain {card.domain}"


def _same_source(card: Checkpoint, wanted: Identity) -> bool:
    return identity(card) == wanted


def _tells(text: str, nothing: frozenset[str]) -> bool:
    return any(word not in nothing for word in re.split(r"[^a-z]+", text.lower()) if word)
