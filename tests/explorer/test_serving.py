"""The served page: the token, this machine's own name, what may be asked, and an end by Ctrl-C."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gdbench
from gdbench.explorer.api import Explorer
from gdbench.explorer.latents import code_of
from gdbench.explorer.making import explorer_of
from gdbench.explorer.serving import HOST, LONGEST, Server
from gdbench.registry import Registry, load_registry
from tests.browser import CHROMIUM, MISSING, address, browser
from tests.explorer.made import K, planted, write_run
from tests.explorer.test_browser import QUIET, shown, slide

WISH = {"run": 0, "latent": 4, "label": "", "taus": {"2": 0.3, "1": -0.15}}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Server]:
    folder = write_run(tmp_path_factory.mktemp("served") / "a", planted(64, "z"), "toy", "none")
    with Server(explorer_of([folder], registry, served=True)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def asked(
    server: Server, method: str, path: str, body: bytes | None = None, host: str | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=60)
    headers = {"Host": host} if host else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_an_image_is_what_the_generator_renders_of_several_shifts(server: Server) -> None:
    status, data = asked(server, "POST", f"/{server.token}/render", json.dumps(WISH).encode())
    assert status == 200
    found = np.frombuffer(data, np.uint8).reshape(32, 32, 4)
    generator = gdbench.load_generator("toy")
    vectors = planted(64, "z").vectors
    moved = code_of(generator, None, "z", 4).shifted(0.3**0.5 * 4 * vectors[2] - 0.15**0.5 * 2 * vectors[1])
    wanted = (generator.render(moved)[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(found[..., :3] - wanted).max() <= 1
    assert (found[..., 3] == 255).all()


def test_only_this_machine_with_the_token_is_answered(server: Server) -> None:
    assert asked(server, "GET", f"/{server.token}/")[0] == 200
    other = "y" if server.token.endswith("x") else "x"
    for path in (
        "/",
        "/x/",
        f"/{server.token}",
        f"/{server.token}/../",
        f"/{server.token[:-1]}{other}/",
        f"/{server.token}/%C3%A9",
    ):
        assert asked(server, "GET", path)[0] == 404
    for host in (
        "evil.example",
        f"evil.example:{server.server_port}",
        f"{HOST}:1",
    ):  # a name that was made to lead here
        assert asked(server, "GET", f"/{server.token}/", host=host)[0] == 404
        assert asked(server, "POST", f"/{server.token}/render", json.dumps(WISH).encode(), host=host)[0] == 404
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32


@pytest.mark.parametrize(
    "change",
    [
        {"run": 1}, {"run": -1}, {"run": "0"}, {"run": True}, {"latent": -1}, {"latent": 2**32}, {"latent": 0.5},
        {"taus": {str(K): 0.1}}, {"taus": {"-1": 0.1}}, {"taus": {"0": 9}}, {"taus": {"0": float("nan")}},
        {"taus": {"x": 0.1}}, {"taus": [1]}, {"taus": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_wish_for_what_is_not_there_is_refused_in_words(server: Server, change: dict[str, object]) -> None:
    status, data = asked(server, "POST", f"/{server.token}/render", json.dumps(WISH | change).encode())
    assert status == 400
    assert b"\n" not in data
    assert data


def test_what_is_no_wish_is_refused(server: Server) -> None:
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 10_000):
        assert asked(server, "POST", f"/{server.token}/render", body)[0] == 400
    assert asked(server, "POST", f"/{server.token}/render", b"x" * (LONGEST + 1))[0] == 413


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_the_served_page_shows_what_it_cannot_draw(server: Server) -> None:
    with browser() as chromium:
        page = chromium.open(f"{server.address}#n=9&c=2&a=2:0.3", 1400)
        page.until(QUIET, 60)
        slide(page, 1, -0.15)
        generator = gdbench.load_generator("toy")
        vectors = planted(64, "z").vectors
        code = code_of(generator, None, "z", 9).shifted(0.3**0.5 * 4 * vectors[2] - 0.15**0.5 * 2 * vectors[1])
        assert float((shown(page, 0) - generator.render(code)[0].clamp(-1, 1)).abs().max()) < 0.01
        assert page.complaints() == []
        assert all(request.startswith(server.address) for request in page.requests())


def test_the_command_serves_until_ctrl_c(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", planted(64, "z"), "toy", "none")
    command = [sys.executable, "-m", "gdbench", "explore", str(folder), "--serve"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    )
    assert process.stdout is not None
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", process.stdout.readline())
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, rest) == (0, "ended\n")


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_run_shows_its_explorer_in_a_notebook(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", planted(128, "z"))
    made = gdbench.read_run(folder).explore()
    assert isinstance(made, Explorer)
    assert made.html == gdbench.explore(folder).html
    (tmp_path / "notebook.html").write_text(f"<p>cell</p>{made._repr_html_()}", encoding="utf-8")
    with browser() as chromium:
        page = chromium.open(address(tmp_path / "notebook.html"), 1400)
        page.run("new Promise((done) => setTimeout(done, 1500))")
        shot = page.screenshot()
        assert page.complaints() == []
        (tmp_path / "shot.png").write_bytes(shot)
    from PIL import Image

    seen = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 2000  # images of the generator, and not an empty frame


def test_nothing_to_explore_is_a_usage_error() -> None:
    with pytest.raises(gdbench.UsageError, match=r"name at least one run"):
        gdbench.explore()
