"""Parameters: from text and mappings to the frozen dataclass that a plugin declared, checked once and for all."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from gdbench.errors import PluginError, UsageError, unknown

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")


class Parameter(NamedTuple):
    """One parameter, as ``info`` and the documentation show it. ``default``: JSON text, or "" where it is required."""

    name: str
    type: str
    default: str
    help: str


def build(params_type: type[T], *overrides: Mapping[str, Any], where: str) -> T:
    """The dataclass ``params_type`` with its defaults changed by ``overrides``; later mappings win.

    Types are taken strictly, as in JSON: no bool for a number, no text for a number, 3.0 is no int; a list fills a
    tuple. Raises UsageError ``"where: name: got X, expected Y"``, or with the nearest known name.
    """
    given = {name: value for mapping in overrides for name, value in mapping.items()}
    fields = {field.name: field for field in dataclasses.fields(params_type)}  # type: ignore[arg-type]
    for name in given:
        if name not in fields:
            raise UsageError(f"{where}: {unknown('parameter', str(name)[:60], fields)}")
    checked = {name: _checked(_adapter(params_type, name), value, f"{where}: {name}") for name, value in given.items()}  # type: ignore[arg-type]
    missing = [name for name, field in fields.items() if name not in checked and _required(field)]
    if missing:
        raise UsageError(f"{where}: {missing[0]}: a value is required")
    try:
        return params_type(**checked)
    except (ValueError, TypeError) as error:  # from the plugin's own __post_init__
        raise UsageError(f"{where}: {' '.join(str(error).split())}") from None


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """``["lr=1e-3", "form=ortho"]`` -> ``{"lr": 0.001, "form": "ortho"}``; the last of equal names wins."""
    from gdbench.yamlfile import parse_scalar

    values = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip().isidentifier():
            raise UsageError(f"{text[:60]!r}: expected name=value")
        values[name.strip()] = parse_scalar(value.strip())
    return values


def as_plain(params: Any) -> dict[str, Any]:
    """A parameter dataclass as JSON-able values, from which ``build`` makes an equal one.

    A field with ``metadata={"added": True}`` is left out at its default: it was declared after runs were recorded,
    which keep their names.
    """
    plain: dict[str, Any] = _adapter(type(params)).dump_python(params, mode="json")  # type: ignore[arg-type]
    added = (field for field in dataclasses.fields(params) if field.metadata.get("added"))
    unused = {field.name for field in added if getattr(params, field.name) == field.default}
    return {name: value for name, value in plain.items() if name not in unused}


def describe(params_type: type) -> list[Parameter]:
    """Name, type, default and help (``field(metadata={"help": ...})``) of each parameter."""
    hints = _hints(params_type)
    return [
        Parameter(field.name, _type_text(hints[field.name]), _default(field), str(field.metadata.get("help", "")))
        for field in dataclasses.fields(params_type)
    ]


def _hints(params_type: type) -> dict[str, Any]:
    try:
        return get_type_hints(params_type, include_extras=True)
    except NameError as error:
        raise PluginError(f"{params_type.__module__}.{params_type.__qualname__}: {error}") from None


def validated(made: Any, where: str = "") -> dict[str, Any]:
    """The values of a dataclass ``made``, each as its annotation says; of numpy's scalars and arrays, plain numbers.

    Raises UsageError ``"where: name: got X, expected Y"``.
    """
    prefix = f"{where}: " if where else ""
    return {
        field.name: _checked(_adapter(type(made), field.name), getattr(made, field.name), f"{prefix}{field.name}")  # type: ignore[arg-type]
        for field in dataclasses.fields(made)
    }


def parsed(kind: type[T], text: str | bytes) -> T:
    """The dataclass ``kind`` in a JSON text; types are taken strictly, and fields without a default must be there.

    Keys that are no fields of ``kind`` are passed over, or refused where it says so (``CLOSED``).
    Raises ValueError ``"field.inner: got X, expected Y"`` for the first fault of anything else.
    """
    from pydantic import ValidationError

    try:
        made: T = _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]
        return made
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(_key(part) for part in fault["loc"])
        raise ValueError(f"{place}{_fault(fault)}".removeprefix(": ")) from None


def _fault(fault: ErrorDetails) -> str:
    """What is wrong at one place of a text; ``value_error`` comes from a ``__post_init__``, in its own words."""
    told = {
        "json_invalid": ": not JSON",
        "missing": ": a value is required",
        "unexpected_keyword_argument": ": there is no such field",
        "value_error": f": {fault['msg'].removeprefix('Value error, ')}",
    }
    return told.get(fault["type"]) or _complaint([fault])


def _key(part: int | str) -> str:
    """A key of a stranger's text as it is, or quoted and cut where it would spoil the line."""
    return str(part) if re.fullmatch(r"[\w:-]{1,60}", str(part)) else _short(part)


CLOSED = {"extra": "forbid"}
"""Value of ``__pydantic_config__`` with which a dataclass refuses keys that it does not know."""


@functools.cache
def _adapter(kind: Hashable, field: str = "") -> TypeAdapter[Any]:
    """What validates ``kind``, or a field of it; making one takes longer than using it."""
    from pydantic import TypeAdapter

    return TypeAdapter(_hints(kind)[field] if field else kind)  # type: ignore[arg-type]


def _checked(adapter: TypeAdapter[Any], value: Any, where: str) -> Any:
    from pydantic import ValidationError

    try:
        text = json.dumps(value, default=_native, allow_nan=False)
    except ValueError:
        raise UsageError(f"{where}: got {_short(value)}, expected finite numbers") from None
    except TypeError:
        raise UsageError(f"{where}: got {_short(value)}, expected text, numbers, lists or mappings") from None
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        place = [part for part in faults[0]["loc"] if isinstance(part, int)]
        raise UsageError(f"{where}{''.join(f'[{part}]' for part in place)}{_complaint(faults)}") from None


def _native(value: Any) -> Any:
    """What JSON has for a value of numpy, a path or a read-only mapping."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


_OUR_WORDS = {"an object": "a mapping", "a valid array": "a list"}
_LEAD_IN = re.compile(r"^(Input|String|Value|List|Tuple|Number) (should|error,)( be| have)? ?")


def _complaint(faults: Sequence[ErrorDetails]) -> str:
    """``": got X, expected Y"`` of one value, whose faults are one each for the alternatives of a union."""
    texts = (_LEAD_IN.sub("", fault["msg"]) for fault in faults)
    expected = dict.fromkeys(_OUR_WORDS.get(text, text) for text in texts)
    return f": got {_short(faults[0]['input'])}, expected {' or '.join(expected)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> str:
    if _required(field):
        return ""
    factory = field.default_factory
    value = field.default if factory is dataclasses.MISSING else factory()
    return json.dumps(value, default=str, ensure_ascii=False)


def _type_text(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, *bounds = get_args(hint)
        return f"{_type_text(base)} ({', '.join(map(str, bounds))})"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
