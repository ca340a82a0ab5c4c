"""What plugins print: it goes where messages go, line by line and without control codes. Results alone go to stdout."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

Log = Callable[[str], None]


class Chatter(io.TextIOBase):
    """A text stream that hands each finished line to ``log``, its control characters as Python writes them (``\\x1b``).

    What a carriage return overwrites, as progress bars do, is left out.
    """

    encoding = "utf-8"

    def __init__(self, log: Log) -> None:
        self._log = log
        self._line = ""

    def write(self, text: str) -> int:
        """Take ``text``; every line that it ends is shown."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._show(line)
        self._line = self._line.rpartition("\r")[2] if len(self._line) > 10_000 else self._line
        return len(text)

    def writable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """That of standard error, for programs that a plugin starts."""
        return 2

    def finish(self) -> None:
        """Show a last line that nobody ended."""
        line, self._line = self._line, ""
        if line:
            self._show(line)

    def _show(self, line: str) -> None:
        self._log(escaped(line.removesuffix("\r").rpartition("\r")[2]))


def escaped(line: str) -> str:
    """``line`` with every character that is not printed as ``\\x1b`` or ``\\u202e``."""
    shown = (one if one.isprintable() or one == "\t" else one.encode("unicode_escape").decode() for one in line)
    return "".join(shown)


@contextmanager
def apart(log: Log) -> Iterator[None]:
    """While the block runs, what is printed on standard output or error is given to ``log`` in lines.

    What programs that a plugin starts write to standard output goes to standard error: their lines are never seen here.
    """
    chatter = Chatter(log)
    with _output_to_error(), redirect_stdout(chatter), redirect_stderr(chatter):
        try:
            yield
        finally:
            chatter.finish()


@contextmanager
def _output_to_error() -> Iterator[None]:
    """Point file descriptor 1 at 2; where either is closed there is nothing to point."""
    before = sys.stdout
    with suppress(OSError, ValueError):
        before.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            before.flush()
        os.dup2(kept, 1)
        os.close(kept)
