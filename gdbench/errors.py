"""Errors a user can act on, and the exit code of each kind."""

from __future__ import annotations

from collections.abc import Iterable


class GdbenchError(Exception):
    """A fault with one clear line: what, where, what would be right."""

    exit_code = 1


class UsageError(GdbenchError):
    """Unknown name, ill-typed parameter, unreadable suite: nothing was started."""

    exit_code = 2


class MissingFile(GdbenchError):
    """Weights or data that a run needs are not on this machine."""

    exit_code = 3


class Busy(GdbenchError):
    """Another process holds the run folder."""

    exit_code = 4


class IntegrityError(GdbenchError):
    """A file's content is not what its hash says."""

    exit_code = 5


class PluginError(GdbenchError):
    """A plugin broke its contract; the message names plugin and distribution."""


EXIT_CODES = {
    0: "everything asked for was done",
    1: "a run or a cell failed",
    2: "usage: unknown name, ill-typed value, unreadable file",
    3: "missing weights or data",
    4: "the run folder is held by another process",
    5: "integrity: a file does not match its hash, or runs were left off a leaderboard",
    130: "interrupted; the same command resumes",
    143: "terminated; the same command resumes",
}


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """The one of ``known`` that ``word`` is most like, "" where none is at least ``alike`` (0 to 1, of difflib)."""
    import difflib  # only a mistake pays for it

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=alike)), "")


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """A one-line error for a name that nothing offers, with the nearest that exists."""
    known = sorted(known)
    near = nearest(name, known, 0.5)
    hint = f"did you mean {near!r}? " if near else ""
    return UsageError(f"unknown {kind} {name!r}: {hint}known: {', '.join(known) or 'none'}")
