"""Downloads from a local server that behaves as badly as real ones."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from gdbench import Busy, IntegrityError, MissingFile
from gdbench.weights.download import Limits, fetch

DATA = bytes(range(256)) * 1200
DIGEST = hashlib.sha256(DATA).hexdigest()
QUICK = Limits(connect=2, read=0.4, total=20, attempts=3, pause=0.01)


class Server(ThreadingHTTPServer):
    """Answers every request by the next of `script`, the last one for ever; remembers the ranges asked for."""

    script: list[Callable[[BaseHTTPRequestHandler], None]]
    ranges: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pkl"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        step = self.server.script.pop(0) if len(self.server.script) > 1 else self.server.script[0]
        step(self)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.script, made.ranges = [whole], []
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def answer(handler: BaseHTTPRequestHandler, body: bytes, length: int, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, DATA, len(DATA))


def half(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, DATA[: len(DATA) // 2], len(DATA))


def ranged(handler: BaseHTTPRequestHandler) -> None:
    start = first_byte(handler.headers["Range"])
    if start >= len(DATA):
        state(416)(handler)
        return
    span = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    answer(handler, DATA[start:], len(DATA) - start, 206, Content_Range=span)


def first_byte(requested: str | None) -> int:
    return int((requested or "").removeprefix("bytes=").removesuffix("-"))


def state(code: int) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda handler: answer(handler, b"", 0, code)


def test_a_whole_file_arrives_and_progress_ends_at_its_size(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(server.url, tmp_path / "w.pkl", DIGEST, lambda done, total: seen.append((done, total)), QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert not list(tmp_path.glob("*.part"))


def test_the_right_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(DATA)
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert server.ranges == []


def test_a_wrong_file_in_its_place_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(DATA[:-1])
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA


def test_a_broken_transfer_is_continued_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.script = [half, ranged]
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA
    assert server.ranges[0] is None
    assert 0 < first_byte(server.ranges[1]) <= len(DATA) // 2


def test_a_later_call_continues_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.script = [half, state(503)]
    with pytest.raises(MissingFile, match="503"):
        fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    server.script, server.ranges = [ranged], []
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA
    assert 0 < first_byte(server.ranges[0]) <= len(DATA) // 2


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.script = [half, whole]
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pkl.part").write_bytes(DATA + b"more")
    server.script = [ranged, whole]
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA


def test_without_a_hash_an_old_part_is_not_trusted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pkl.part").write_bytes(b"of another file")
    fetch(server.url, tmp_path / "w.pkl", None, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA
    assert server.ranges == [None]


def half_of_version(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, DATA[: len(DATA) // 2], len(DATA), ETag='"one"')


@pytest.mark.parametrize("same", [True, False])
def test_without_a_hash_a_part_is_continued_if_the_server_has_the_same_version(
    same: bool, server: Server, tmp_path: Path
) -> None:
    asked: list[str | None] = []

    def on_condition(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("If-Range"))
        (ranged if same else whole)(handler)

    server.script = [half_of_version, state(404)]
    with pytest.raises(MissingFile, match="404"):
        fetch(server.url, tmp_path / "w.pkl", None, limits=QUICK)
    server.script = [on_condition]
    fetch(server.url, tmp_path / "w.pkl", None, limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA
    assert asked == ['"one"']
    assert {path.suffix for path in tmp_path.iterdir()} <= {".pkl", ".lock"}


def test_the_known_first_digits_of_a_hash_are_checked(server: Server, tmp_path: Path) -> None:
    fetch(server.url, tmp_path / "w.pkl", DIGEST[:8], limits=QUICK)
    (tmp_path / "w.pkl").write_bytes(b"something else")
    fetch(server.url, tmp_path / "w.pkl", DIGEST[:8], limits=QUICK)
    assert (tmp_path / "w.pkl").read_bytes() == DATA
    with pytest.raises(IntegrityError, match="does not start with the published 00000000"):
        fetch(server.url, tmp_path / "v.pkl", "0" * 8, limits=QUICK)
    assert not (tmp_path / "v.pkl").exists()


def test_another_content_is_named_with_both_hashes_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=DIGEST[:20]) as caught:
        fetch(server.url, tmp_path / "w.pkl", "0" * 64, limits=QUICK)
    assert "0" * 64 in str(caught.value)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".lock"}


def test_an_html_page_is_called_one(server: Server, tmp_path: Path) -> None:
    page = b"<!DOCTYPE html><html>Virus scan warning</html>"
    server.script = [lambda handler: answer(handler, page, len(page))]
    with pytest.raises(IntegrityError, match="got an HTML page"):
        fetch(server.url, tmp_path / "w.pkl", None, limits=QUICK)
    assert not (tmp_path / "w.pkl").exists()


def test_an_html_page_that_comes_in_crumbs_is_called_one(server: Server, tmp_path: Path) -> None:
    def crumbs(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for crumb in (b" ", b"<!doctype html>", b"<p>quota"):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(crumb), crumb))
        handler.wfile.write(b"0\r\n\r\n")

    server.script = [crumbs]
    with pytest.raises(IntegrityError, match="got an HTML page"):
        fetch(server.url, tmp_path / "w.pkl", None, limits=QUICK)
    assert not (tmp_path / "w.pkl").exists()


def test_a_truncated_file_is_called_truncated(server: Server, tmp_path: Path) -> None:
    server.script = [half, lambda handler: answer(handler, b"", 9, 206, Content_Range=handler.headers["Range"])]
    with pytest.raises(MissingFile, match="Connection broken: IncompleteRead"):
        fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)


def test_a_missing_page_is_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    server.script = [state(404)]
    with pytest.raises(MissingFile, match="404"):
        fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    assert len(server.ranges) == 1


def test_an_overloaded_server_is_asked_again_a_few_times(server: Server, tmp_path: Path) -> None:
    server.script = [state(429), state(503), whole]
    fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    server.script, server.ranges = [state(503)], []
    with pytest.raises(MissingFile, match="503"):
        fetch(server.url, tmp_path / "v.pkl", DIGEST, limits=QUICK)
    assert len(server.ranges) == QUICK.attempts


def test_a_silent_server_ends_in_an_error(server: Server, tmp_path: Path) -> None:
    silence = threading.Event()
    server.script = [lambda handler: (silence.wait(5), None)[1]]
    try:
        with pytest.raises(MissingFile, match="Read timed out"):
            fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
    finally:
        silence.set()


def test_an_endless_redirect_ends_in_an_error(server: Server, tmp_path: Path) -> None:
    server.script = [lambda handler: answer(handler, b"", 0, 302, Location="/again")]
    with pytest.raises(MissingFile, match="redirects"):
        fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"127\.0\.0\.1"):
        fetch("http://127.0.0.1:9/w.pkl", tmp_path / "w.pkl", DIGEST, limits=QUICK)


def test_two_downloads_of_one_file_do_not_mix(server: Server, tmp_path: Path) -> None:
    with FileLock(tmp_path / "w.pkl.lock"), pytest.raises(Busy):
        fetch(server.url, tmp_path / "w.pkl", DIGEST, limits=QUICK)
