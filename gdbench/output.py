"""Standard output and error as streams that never end a run: a full disk, a reader that went away, a closed file.

What cannot be written is given up, the first fault is kept, and the command says so in one line when its work is done.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class Outlet:
    """A text stream that keeps its first fault in ``fault`` in place of raising it, and drops what comes after."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: Any = stream
        self.fault: OSError | None = None if stream else OSError(errno.EBADF, os.strerror(errno.EBADF))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text``, or lose it. Raises UnicodeEncodeError for characters that the encoding lacks."""
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered, or lose it."""
        self._attempt("flush")

    def isatty(self) -> bool:
        """Whether somebody reads at a terminal."""
        try:
            return self._stream is not None and bool(self._stream.isatty())
        except ValueError:  # it was closed
            return False

    def _attempt(self, operation: str, *arguments: str) -> None:
        if self.fault is not None:
            return
        try:
            getattr(self._stream, operation)(*arguments)
        except UnicodeError:
            raise
        except OSError as error:
            self.fault = error
        except ValueError as error:  # of a stream that was closed
            self.fault = OSError(errno.EBADF, str(error))


def outlet(stream: TextIO | None) -> TextIO:
    """``stream`` as one that does not raise."""
    return cast(TextIO, stream if isinstance(stream, Outlet) else Outlet(stream))


@contextmanager
def guarded() -> Iterator[None]:
    """Let ``sys.stdout`` and ``sys.stderr`` of a process not raise; files 0 to 2 that are closed lead nowhere.

    Else the next file that is opened, a record of a run, would become standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(outlet, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def lost() -> str:
    """Why standard output did not get all that was written to it; "" where it did, or where its reader had enough."""
    sys.stdout.flush()
    fault = getattr(sys.stdout, "fault", None)
    if fault is None or fault.errno == errno.EPIPE:
        return ""
    return f"cannot write the output: {fault.strerror}"
