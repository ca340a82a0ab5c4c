"""Fetching one file over HTTP: resumed, hash-checked, locked, with bounded patience, and plain words for faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from filelock import FileLock, Timeout

from gdbench.errors import Busy, IntegrityError, MissingFile
from gdbench.files import sha256 as hash_of
from gdbench.files import write_text
from gdbench.home import writing
from gdbench.weights.reading import HEAD, foreign

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
PASSING = (408, 429, 500, 502, 503, 504)  # HTTP states that may be gone in a moment

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and their total (0 where the server does not say)."""


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, between bytes, in all; attempts in a row without a new byte; seconds before the second."""

    connect: float = 10
    read: float = 30
    total: float = 7200
    attempts: int = 5
    pause: float = 1


class _Passing(Exception):
    """A fault after which the same request may succeed."""


def fetch(
    url: str, target: Path, sha256: str | None, progress: Progress | None = None, limits: Limits | None = None
) -> None:
    """Download ``url`` to ``target`` unless the right file is there; a part left by an interruption is continued.

    sha256: or its first digits; None where nobody published it, and parts are not continued, for nothing would prove
    that they fit.
    Raises MissingFile (network, HTTP state), IntegrityError (an HTML page, another hash: the file is removed), Busy, or
    GdbenchError (a folder that cannot be written).
    """

    if target.is_file() and _fits(target, sha256):
        return
    with writing(target.parent):
        try:
            with FileLock(f"{target}.lock", timeout=0):
                _retrieve(url, target, sha256, progress, limits or Limits())
        except Timeout:
            raise Busy(f"another process is downloading {target}") from None


def _retrieve(url: str, target: Path, sha256: str | None, progress: Progress | None, limits: Limits) -> None:
    """The file comes to its place only after its hash was right."""
    part = target.with_name(f"{target.name}.part")
    if sha256 is None and not _tag(part).is_file():
        part.unlink(missing_ok=True)
    target.unlink(missing_ok=True)  # it is not the right one
    _download(url, part, progress, limits)
    _tag(part).unlink(missing_ok=True)
    _check_content(url, part, sha256 or "")
    part.replace(target)


def _check_content(url: str, part: Path, start: str) -> None:
    """Remove what is certainly not weights, or has another hash than one that starts so."""
    with part.open("rb") as file:
        what = foreign(file.read(HEAD))
    digest = hash_of(part)
    if not what and not digest.startswith(start):
        what = f"its sha256 is {digest}, which does not start with the published {start}"
    if what:
        part.unlink()
        raise IntegrityError(f"{url}: {what}")


def _tag(part: Path) -> Path:
    """Where the version of a part is kept: what the server called it."""
    return part.with_name(f"{part.name}.tag")


def _download(url: str, part: Path, progress: Progress | None, limits: Limits) -> None:
    """Ask again, with growing pauses, as long as bytes arrive or attempts are left."""
    end = time.monotonic() + limits.total
    failures = 0
    while True:
        before = _size(part)
        try:
            return _continue(url, part, progress, limits, end)
        except _Passing as fault:
            failures = 0 if _size(part) > before else failures + 1
            pause = limits.pause * 2 ** max(0, failures - 1)
            if failures >= limits.attempts or time.monotonic() + pause > end:
                raise MissingFile(f"cannot get {url}: {fault}; the same command tries again from there") from None
            time.sleep(pause)


def _continue(url: str, part: Path, progress: Progress | None, limits: Limits, end: float) -> None:
    """One request for what is still missing of ``part``."""

    start = _size(part)
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    if start and _tag(part).is_file():
        headers["If-Range"] = _tag(part).read_text()
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(limits.connect, limits.read)) as answer:
            _check_state(url, answer, part)
            resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            _keep_tag(answer, part)
            _receive(answer, part, start if resumed else 0, progress, end)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Passing(_cause(error)) from None
    except requests.RequestException as error:
        raise MissingFile(f"cannot get {url}: {_cause(error)}") from None


def _check_state(url: str, answer: requests.Response, part: Path) -> None:
    if answer.status_code == 416:  # the part is longer than the file: it belongs to something else
        part.unlink()
        raise _Passing("the partial file did not fit")
    if answer.status_code in PASSING:
        raise _Passing(f"the server answers {answer.status_code} {answer.reason}")
    if not answer.ok:
        raise MissingFile(f"cannot get {url}: the server answers {answer.status_code} {answer.reason}")


def _keep_tag(answer: requests.Response, part: Path) -> None:
    """Note the version that the server sends; weak tags do not promise equal bytes."""
    tag = answer.headers.get("ETag", "W/")
    if tag := answer.headers.get("Last-Modified", "") if tag.startswith("W/") else tag:
        write_text(_tag(part), tag)
    else:
        _tag(part).unlink(missing_ok=True)


def _receive(answer: requests.Response, part: Path, start: int, progress: Progress | None, end: float) -> None:
    length = int(answer.headers.get("Content-Length", 0))
    done, total = start, start + length if length else 0
    with part.open("ab" if start else "wb") as file:
        for chunk in answer.iter_content(CHUNK):
            if done == 0 and (what := foreign(chunk[:CHUNK])):
                part.unlink()
                raise IntegrityError(f"{answer.url}: {what}")
            file.write(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
            if time.monotonic() > end:
                raise _Passing("it takes too long")
    if done < total:
        raise _Passing(f"truncated: {done} of {total} bytes arrived")


def _fits(path: Path, sha256: str | None) -> bool:
    return sha256 is None or hash_of(path).startswith(sha256)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _cause(error: Exception) -> str:
    """A network error in one short line."""
    text = " ".join(str(error).split())
    if "NameResolution" in text or "getaddrinfo" in text:
        return "its host is not known here, so there may be no network"
    return f"{type(error).__name__}: {text[:200]}"
