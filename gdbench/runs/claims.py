"""Claims: who works on a run, told by folders, so that it holds between machines that share a file system.

``OUT/.claims/RUN/N/holder``: the folder N is made with mkdir, which one process alone can do on any file system (flock
excludes nobody across nodes on many), and its file says who holds the run. The file is touched every BEAT seconds.

A holder is dead when its process is gone, where that can be seen: on the same system, since the same boot. Elsewhere
it is dead when its file was not touched for STALE seconds of the watcher's own steady clock, from its first look on, so
that clocks which differ do no harm. The next process takes over by making the folder N + 1. A holder that was taken for
dead notices before it records anything; its files are those of the same run, so nothing is lost but time.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from gdbench.errors import Busy
from gdbench.files import read_bytes, write_text

CLAIMS, HOLDER = ".claims", "holder"
BEAT, STALE = 10.0, 60.0
LARGEST = 1 << 16  # bytes of a holder's file

Beat = tuple[str, int]
"""What changes while a holder lives: which file, and when it was touched (ns, by whatever clock)."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a run. place: the system in which its number means it. started: of that process, in ticks
    since the boot, so that a number which is used again is no sign of life; "" where the system does not tell.
    """

    host: str
    pid: int
    place: str
    started: str
    since: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def gone(self) -> bool | None:
        """Whether the process ended; None where that cannot be seen from here."""
        if self.place != _place() or not self.started:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # of another user, which may be hidden
            return None
        return _started(self.pid) != self.started


class _Watch:
    """When this process first saw each beat, by its own steady clock."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[Beat, float]] = {}
        self._guard = threading.Lock()

    def still(self, path: Path, beat: Beat) -> float:
        """For how many seconds ``beat`` has been the last one of ``path``."""
        now = time.monotonic()
        with self._guard:
            if path not in self._seen or self._seen[path][0] != beat:
                self._seen[path] = beat, now
            return now - self._seen[path][1]


_WATCH = _Watch()


@dataclass(frozen=True)
class Claim:
    """The claim on the run whose folder is ``run``, in the run's pool; ``token`` is that of the holder."""

    run: Path
    token: str = ""

    @property
    def _folder(self) -> Path:
        return self.run.parent / CLAIMS / self.run.name

    def holder(self) -> Holder | None:
        """Who holds the run; None where nobody does. A claim that is just being made has a holder without a name."""
        last = self._last()
        return None if last == 0 or self._dead(last) else self._read(last) or _NOBODY_YET

    def lost(self) -> bool:
        """Whether another process took this claim over."""
        named = [number for number in self._numbers() if (self._folder / str(number) / HOLDER).exists()]
        found = self._read(named[-1]) if named else None
        return found is None or found.token != self.token

    def take(self) -> Claim:
        """Hold the run. Raises Busy, which says who holds it, and OSError where the folder cannot be written."""
        with suppress(FileExistsError):  # it was there, and went before anybody could look
            self._folder.mkdir(parents=True, exist_ok=True)
        last = self._last()
        before = self._told(last)
        if last and not self._dead(last):
            raise Busy(str(before[0] or _NOBODY_YET))
        mine = _me()
        new = self._folder / str(last + 1)
        try:
            new.mkdir()
            if self._last() != last + 1 or self._told(last) != before:  # of a later claim, made while this one slept
                with suppress(OSError):
                    new.rmdir()
                raise Busy(str(_NOBODY_YET))
            write_text(new / HOLDER, json.dumps(asdict(mine)))
        except (FileExistsError, FileNotFoundError):  # somebody was faster, or gave the claim back meanwhile
            raise Busy(str(_NOBODY_YET)) from None
        return Claim(self.run, mine.token)

    def release(self) -> None:
        """Give the run back, unless another process took it over. The folder goes all at once."""
        gone = self._folder.with_name(f".{self.run.name}.{self.token}")
        with suppress(OSError):
            if not self.lost():
                self._folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Touch the holder's file every BEAT seconds while the block runs."""
        ended = threading.Event()
        number = next(n for n in reversed(self._numbers()) if (f := self._read(n)) and f.token == self.token)
        thread = threading.Thread(target=_beat, args=(self._folder / str(number) / HOLDER, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(name) for name in os.listdir(self._folder) if name.isdecimal())
        except OSError:
            return []

    def _last(self) -> int:
        return max(self._numbers(), default=0)

    def _read(self, number: int) -> Holder | None:
        """The holder that made folder ``number``; None where it has not said so yet, or what it said is damaged."""
        try:
            return Holder(**json.loads(read_bytes(self._folder / str(number) / HOLDER, LARGEST)))
        except (OSError, ValueError, TypeError):
            return None

    def _told(self, number: int) -> tuple[Holder | None, int]:
        """What tells folder ``number`` from another of the same number: its holder, and itself."""
        with suppress(OSError):
            return self._read(number), (self._folder / str(number)).stat().st_ino
        return None, 0

    def _dead(self, number: int) -> bool:
        holder = self._read(number)
        if holder is not None and (gone := holder.gone) is not None:
            return gone
        folder = self._folder / str(number)
        return (
            _WATCH.still(self._folder, (f"{number}", _touched(folder if holder is None else folder / HOLDER))) > STALE
        )


_NOBODY_YET = Holder("this or another machine", 0, "", "", "", "")


def _beat(file: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):  # a folder that is away for a moment; if it was taken over, ``lost`` tells
            os.utime(file)


def _touched(path: Path) -> int:
    """When ``path`` was last touched; opened, since network file systems may answer from memory what is not open."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        return os.fstat(handle).st_mtime_ns
    finally:
        os.close(handle)


def _me() -> Holder:
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(socket.gethostname(), pid, _place(), _started(pid), since, secrets.token_hex(8))


@cache
def _place() -> str:
    """The system in which process numbers of this process mean something: its boot and its space of numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process that is running now was started, in ticks since the boot; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
