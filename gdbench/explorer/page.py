"""The page of an explorer: one file that opens anywhere, with its scripts, weights and numbers inside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from gdbench.errors import UsageError

OURS = b'<meta name="generator" content="gdbench explore">'
"""What the head of a page says, so that other people's files are never written over."""
TEMPLATES = Path(__file__).with_name("templates")
LIVE = "The generator itself runs in this page: straight directions are drawn as you move a slider."
FROZEN = "Curved and code-dependent directions, and generators too large for a page, are frames rendered beforehand."
MINE = "The first latents are the codes of pictures of one's own, with how faithful they are; random ones come after."
SERVED = "What this page cannot draw itself, the process that serves it renders."


def page_text(contents: Mapping[str, Any]) -> str:
    """The page of ``gdbench.explorer.contents``; the same contents give the same bytes."""
    style, script = _text("style.css"), _text("interpreter.js") + _text("page.js")
    live = [run["frames"] is None for run in contents["runs"]]
    told = [LIVE] if contents["generator"]["programs"] else []
    told += [MINE] if contents["generator"]["pictures"] else []
    told += [SERVED] if contents["served"] else [] if all(live) else [FROZEN]
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=f"{contents['generator']['name']}: explorer",
            style=Markup(style),
            script=Markup(script),
            csp=_policy(style, script, bool(contents["served"])),
            classes=contents["generator"]["classes"],
            told=" ".join(told),
            data=htmlsafe_json_dumps(contents, dumps=json.dumps, allow_nan=False, separators=(",", ":")),
        )
    )


def refuse_strangers(path: Path) -> None:
    """Raise UsageError where ``path`` is a file that ``gdbench explore`` did not write."""
    if path.is_dir() or (path.exists() and OURS not in _head(path)):
        raise UsageError(f"{path}: there already, and no explorer's page; choose another --out")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1000)


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _policy(style: str, script: str, served: bool) -> str:
    """Nothing is fetched but, where the page is served, images from there; no style or script but ours is obeyed."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; worker-src blob:; "
        f"connect-src {chr(39)}{'self' if served else 'none'}{chr(39)}; base-uri 'none'; form-action 'none'"
    )
