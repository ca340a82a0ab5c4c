"""Files that domains need: declared, asked for before anything runs, fetched by name, checked at every use."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gdbench import (
    Checkpoint,
    DomainSpec,
    ExtraFile,
    GeneratorSpec,
    IntegrityError,
    MissingFile,
    PluginError,
    UsageError,
)
from gdbench.cli import checkpoint
from gdbench.registry import Registry, load_registry
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.weights import download
from gdbench.weights.checkpoints import fetch_checkpoint
from gdbench.weights.download import Limits
from gdbench.weights.extra_files import checked, fetch_extra, place, verdict

DATA = bytes(range(128, 256))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExtraFile]:
    """A file on a local server, of which the first eight digits of the hash are known."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "w.pth").write_bytes(DATA)
    with HTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{serving.server_port}/w.pth"
        yield ExtraFile("w", "w.pth", url, hashlib.sha256(DATA).hexdigest()[:8], len(DATA), "free", "what sees")
        serving.shutdown()
        thread.join()


def with_file(extra: ExtraFile) -> Registry:
    """The installed plugins, with a toy domain that needs a file."""
    registry = load_registry()
    toy = registry.domain("toy")
    needy = replace(toy, spec=replace(toy.spec, files=(extra,)))
    return replace(registry, domains={**registry.domains, "toy": needy})


def invoke(registry: Registry, *arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    checkpoint.add(app, registry)
    done = CliRunner().invoke(app, ["checkpoint", *arguments], standalone_mode=False)
    if isinstance(done.exception, UsageError):
        raise done.exception
    return done.exit_code, done.output


def test_a_run_stops_at_once_and_names_the_command(served: ExtraFile, tmp_path: Path) -> None:
    request = RunRequest(gan="toy", method="random", out=tmp_path)
    with pytest.raises(MissingFile, match=r"what sees: .*gdbench checkpoint fetch w;"):
        plan(request, with_file(served))
    fetch_extra(served)
    assert plan(request, with_file(served)).domain.spec.files == (served,)


def test_the_command_fetches_it_by_name(served: ExtraFile) -> None:
    registry = with_file(served)
    code, _ = invoke(registry, "fetch", "w", "--yes")
    assert code == 0
    assert checked(served).read_bytes() == DATA
    assert registry.extra_files()["w"] == served
    with pytest.raises(UsageError, match="generator or file"):
        invoke(registry, "fetch", "vv")
    with pytest.raises(UsageError, match=r"which official checkpoint of sngan\?"):
        invoke(registry, "fetch", "sngan")


def test_the_first_digits_of_a_hash_keep_the_right_file_only(served: ExtraFile, tmp_path: Path) -> None:
    place(served).parent.mkdir(parents=True)
    place(served).write_bytes(b"something else")
    with pytest.raises(IntegrityError, match="does not begin with"):
        checked(served)
    assert verdict(served).state == "damaged"
    assert fetch_extra(served).read_bytes() == DATA
    (tmp_path / "served" / "w.pth").write_bytes(DATA[::-1])
    assert fetch_extra(served).read_bytes() == DATA  # the right file is there: nothing is asked for
    assert verdict(served).state == "ok"
    place(served).unlink()
    assert verdict(served).state == "missing"
    with pytest.raises(IntegrityError, match=served.sha256):
        fetch_extra(served)
    assert {path.suffix for path in place(served).parent.iterdir()} <= {".lock"}


@pytest.mark.parametrize("wrong", [{"name": "Up/../per"}, {"file": "../w.pth"}, {"sha256": "7be5"}], ids=str)
def test_a_declaration_is_checked(served: ExtraFile, wrong: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match="plain file name"):
        replace(served, **wrong)


def test_domains_need_nothing_unless_they_say_so() -> None:
    assert DomainSpec("plain", "", print).files == ()


def test_a_download_that_fails_says_where_to_copy_the_file(
    served: ExtraFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "Limits", lambda: hurried)
    hurried = Limits(connect=1, attempts=1)
    gone = replace(served, url="http://127.0.0.1:9/w.pth")
    with pytest.raises(MissingFile, match=r"without a network, copy the file by hand to .*w/w\.pth"):
        fetch_extra(gone, tmp_path / "kept")
    card = Checkpoint("far", "toy", "far.pt", url=gone.url)
    spec = GeneratorSpec(name="family", summary="", load="nothing:nothing", checkpoints=(card,))
    with pytest.raises(MissingFile, match=r"without a network, copy the file by hand to .*family/far\.pt"):
        fetch_checkpoint(spec, "far", tmp_path / "kept")
    (tmp_path / "kept" / "w" / "w.pth").write_bytes(DATA)
    assert checked(gone, tmp_path / "kept") == place(gone, tmp_path / "kept")
    assert fetch_extra(gone, tmp_path / "kept") == place(gone, tmp_path / "kept")
