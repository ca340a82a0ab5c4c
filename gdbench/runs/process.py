"""What a run asks of its operating system process: to be told when somebody wants it to end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from gdbench.context import Stopped, StopRequest

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C, and what schedulers and closed terminals send."""


@contextmanager
def terminable() -> Iterator[StopRequest]:
    """Let the signals of STOPPING end the block as tidily as Ctrl-C does; only possible in the main thread.

    Work that listens to the request is asked to save and end by itself; a second signal ends it at once. SIGINT raises
    KeyboardInterrupt, the others Stopped.
    """
    request = StopRequest()

    def stop(number: int, _: FrameType | None) -> None:
        error = KeyboardInterrupt() if number == signal.SIGINT else Stopped(128 + number)
        if not request.listening or request.error is not None:
            raise error
        request.error = error

    before: dict[signal.Signals, object] = {}
    with suppress(ValueError):  # in another thread
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                before[number] = signal.signal(number, stop)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


@contextmanager
def no_way_out() -> Iterator[None]:
    """While the block runs, ``os._exit`` in this process raises SystemExit: a plugin that leaves so left no result.

    Processes that it forks leave as they like.
    """
    real, here = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() != here:
            real(status)
        raise SystemExit(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = real


@contextmanager
def same_folder() -> Iterator[None]:
    """End the block in the working directory in which it began, whatever plugins did."""
    try:
        before = os.getcwd()
    except OSError:  # it was removed
        before = ""
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before or ".")
