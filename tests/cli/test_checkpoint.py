"""``gdbench checkpoint`` as a person types it: what an import says, misspelt domains, and the files of plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from gdbench.cli import build_app
from gdbench.errors import GdbenchError, IntegrityError, UsageError
from gdbench.registry import load_registry
from tests.plugins import writers_sngan, writers_stylegan2

PLUGIN = """
from gdbench import Checkpoint, DomainSpec, ExtraFile, GeneratorSpec, hookimpl

FILE = ExtraFile("spectacles", "s.pt", "https://example.org/s.pt", "0123456789", 5_000_000, "MIT", "the domain blurred")
CARD = Checkpoint("afar", "blurred", "afar.pt", url="https://example.org/afar.pt", licence="MIT", size=3_000_000)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec(name="borrowed", summary="", load=lambda path, params, device: None, checkpoints=(CARD,))


@hookimpl
def gdbench_domains():
    yield DomainSpec(name="blurred", summary="", load=lambda device: None, files=(FILE,))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def gdbench(*arguments: object) -> str:
    """Standard output of a command in this process; its GdbenchError where it has one."""
    result = CliRunner().invoke(build_app(load_registry()), [str(argument) for argument in arguments])
    if isinstance(result.exception, GdbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def said(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tmp" / "celeba" / "netG_100000_steps.pth"
    path.parent.mkdir(parents=True)
    torch.save(writers_sngan.mimicry(writers_sngan.Sizes()), path)
    return path


def test_an_import_says_what_it_is_and_what_a_run_needs(file: Path) -> None:
    text = gdbench("checkpoint", "import", file)
    assert text.splitlines()[0] == f"imported {file.name} as sngan-celeba-100000"
    told = said(text)
    assert (told["family"], told["format"], told["images"]) == ("sngan", "mimicry", "16 x 16 px, 3 channels")
    assert (told["spaces"], told["domain"], told["licence"]) == ("z", "natural", "unknown")
    assert "gdbench checkpoint fetch lpips (" in told["needs"]
    assert told["next"].startswith("gdbench run --gan sngan --checkpoint sngan-celeba-100000 --method ")
    assert said(gdbench("checkpoint", "import", file, "--domain", "scenes"))["needs"] == "nothing more"


def test_a_misspelt_domain_is_refused_before_anything_is_written(file: Path, home: Path) -> None:
    with pytest.raises(UsageError, match="unknown domain 'scnes': did you mean 'scenes'"):
        gdbench("checkpoint", "import", file, "--domain", "scnes")
    assert not home.exists()


def test_a_key_picks_a_part(tmp_path: Path) -> None:
    state = writers_stylegan2.rosinality(writers_stylegan2.Sizes())[0]["g_ema"]
    torch.save({"state_dict": {f"decoder.{name}": t for name, t in state.items()}}, tmp_path / "psp.pt")
    text = gdbench("checkpoint", "import", tmp_path / "psp.pt", "--key", "decoder")
    assert said(text)["format"] == "rosinality, part decoder"


def test_a_shipped_file_says_its_family() -> None:
    from gdbench_sngan import CARDS

    text = gdbench("checkpoint", "import", CARDS / "scenes32.safetensors")
    assert text.splitlines()[0] == "scenes32.safetensors is scenes32, which ships with sngan"
    assert said(text)["family"] == "sngan"


def test_weights_that_are_not_finite_exit_with_one_line(file: Path, home: Path) -> None:
    content: dict[str, Any] = torch.load(file, weights_only=True)
    content["model_state_dict"]["l1.bias"][3] = float("inf")
    torch.save(content, file)
    with pytest.raises(IntegrityError, match=r"l1\.bias holds 1 of"):
        gdbench("checkpoint", "import", file)
    assert not list(home.rglob("*.*"))


def test_the_files_of_a_plugin_are_listed_verified_and_fetched(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    for command in ("list", "verify"):
        without = gdbench("checkpoint", command, "--json")
        rows = json.loads(gdbench("checkpoint", command, "--json", "--plugin", plugin))
        added = [row for row in rows if row not in json.loads(without)]
        assert {"afar", "s.pt" if command == "verify" else "spectacles"} <= {
            text for row in added for text in row.values()
        }
    for name in (("spectacles",), ("borrowed", "afar")):
        shown = CliRunner().invoke(
            build_app(load_registry()), ["checkpoint", "fetch", *name, "--plugin", str(plugin)], input="n\n"
        )
        assert f"https://example.org/{'s' if name[0] == 'spectacles' else 'afar'}.pt: licence MIT" in shown.stdout


def test_doctor_looks_at_the_weights_of_a_plugin(tmp_path: Path, home: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    (home / "gdbench" / "checkpoints" / "borrowed").mkdir(parents=True)
    (home / "gdbench" / "checkpoints" / "borrowed" / "stray.safetensors").write_bytes(b"")
    for more, code in (([], 0), (["--plugin", str(plugin)], 1)):
        result = CliRunner().invoke(build_app(load_registry()), ["doctor", "--json", *more])
        assert (result.exit_code, "borrowed/stray is damaged" in result.stdout) == (code, bool(code))


def test_show_takes_the_columns_of_a_plugin(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    run = ("run", "--gan", "toy", "--method", "random", "--k", "2", "--tier", "smoke", "--metrics", "cost")
    folder = json.loads(gdbench(*run, "--out", tmp_path / "runs", "--json"))["folder"]
    assert json.loads(gdbench("show", folder, "--plugin", plugin, "--json"))["status"] == "done"
