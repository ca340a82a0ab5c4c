"""Reading YAML without surprises: one strict loader, YAML 1.2 scalars, every fault one line with file:line:column.

PyYAML's own safe loader reads ``1e-4`` as text, ``no`` as False, ``012`` as 10 and ``12:30`` as 750, lets the last of
two equal keys win and expands aliases without limit. Here none of that happens: a file is data, all of it finite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from gdbench.errors import UsageError
from gdbench.files import read_bytes

LONG = 300
MAX_BYTES = 256_000
"""A suite is a page of text; larger files are a mistake, and PyYAML takes seconds for each megabyte."""


def _integer(text: str) -> int:
    if len(text) > 100:  # Python itself gives up at 4300 digits
        raise ValueError("number out of range")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


_SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _integer),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", _finite),
}
"""Kind -> pattern and meaning, after the YAML 1.2 core schema, without its infinities."""


def _refuse(what: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)


class _Strict(yaml.SafeLoader):
    """SafeLoader with our scalars; tags, anchors, aliases and keys that are no text or come twice are refused."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  (PyYAML reads and copies this name)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refuse("aliases are not allowed", event.start_mark)
        for name in ("anchor", "tag"):
            if getattr(event, name, None) is not None:
                raise _refuse(f"{name}s are not allowed", event.start_mark)
        node: Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or not key.tag.endswith(":str"):
                raise _refuse("a key must be text", key.start_mark)
            if key.value in seen:
                raise _refuse(f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _constructor(meaning: Callable[[str], Any]) -> Callable[[_Strict, ScalarNode], Any]:
    def construct(loader: _Strict, node: ScalarNode) -> Any:
        try:
            return meaning(node.value)
        except ValueError as error:
            raise _refuse(str(error), node.start_mark) from None

    return construct


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, from an escape: it could never be written again
        raise ValueError("not a character") from None
    return text


_Strict.add_constructor("tag:yaml.org,2002:str", _constructor(_text))
for _kind, (_pattern, _meaning) in _SCALARS.items():
    _Strict.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), None)
    _Strict.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor(_meaning))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file: dicts with text keys, lists, text, int, finite float, bool and None.

    Raises UsageError, one line with file, line and column, whatever the file holds.
    """
    return parse_yaml(_read(path), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The content of YAML ``text``; ``where`` names it in errors. Otherwise as ``read_yaml``."""
    try:
        return yaml.load(text, Loader=_Strict)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"{where}{_place(error, text)}: {_problem(error)}") from None


def parse_scalar(text: str) -> Any:
    """A value from the command line, by the scalar rules of the files; ``[1, 2]`` and quoted text are read as YAML."""
    if text[:1] in ("[", '"', "'"):
        return parse_yaml(text, repr(text))
    try:
        for pattern, meaning in _SCALARS.values():
            if text and re.fullmatch(pattern, text):
                return meaning(text)
        return _text(text)
    except ValueError as error:
        raise UsageError(f"{text[:60]!r}: {error}") from None


def _read(path: Path) -> str:
    try:
        data = read_bytes(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        shown = repr(str(path)) if len(str(path)) < LONG else f"a path of {len(str(path)):,} characters"
        raise UsageError(f"{shown}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise UsageError(f"{path}:{line}:{column}: not UTF-8") from None


def _place(error: Exception, text: str) -> str:
    """``:line:column``, from 1, as far as the error knows it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return f":{mark.line + 1}:{mark.column + 1}"
    position = getattr(error, "position", None)
    if position is None:
        return ""
    before = text[:position]
    return f":{before.count(chr(10)) + 1}:{position - before.rfind(chr(10))}"


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return " ".join(str(problem).split())
