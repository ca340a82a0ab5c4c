"""Where in a plugin's code something happened: file and line, short enough for a message of one line."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any


def owns(package: str, module: str) -> bool:
    """Whether ``module`` is the top-level module ``package`` or lies within it."""
    return bool(package) and module.partition(".")[0] == package


def raised_at(error: BaseException, *packages: str) -> str:
    """``file.py:12`` of the innermost line of ``packages`` that ``error`` came through, or ""; causes count too."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if any(owns(package, _module(frame)) for package in packages)
    ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}:{error.lineno}"
    if frames:
        frame, line = frames[-1]
        return f"{Path(frame.f_code.co_filename).name}:{line}"
    earlier = error.__cause__ or error.__context__
    return raised_at(earlier, *packages) if earlier is not None else ""


def innermost(error: BaseException) -> list[str]:
    """The modules of the lines that ``error`` came through, and of its causes, the innermost first."""
    here = [_module(frame) for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    return [*(innermost(error.__cause__) if error.__cause__ is not None else ()), *here]


def defined_at(function: Callable[..., Any]) -> str:
    """``file.py:12`` where ``function`` (or a class) is defined, or "" for what was not written in Python."""
    written = inspect.unwrap(function)
    code = getattr(written, "__code__", None) or getattr(getattr(written, "__func__", None), "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code is not None else ""


def at(text: str, place: str) -> str:
    """``text`` followed by the place in brackets, where there is one."""
    return f"{text} ({place})" if place else text


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
