"""The user's data folder: where the system has it, and one line where it cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gdbench import GdbenchError, data_folder
from gdbench.home import writing

PLUGINS = Path(__file__).parents[2] / "plugins"


def test_it_follows_the_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "gdbench"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "gdbench"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert data_folder().is_absolute()


@pytest.mark.parametrize("place", ["/proc", "file"])
def test_where_it_cannot_be_written_the_remedy_is_named(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / place))
    with (
        pytest.raises(GdbenchError, match=r"^cannot write .*gdbench \(.+\); set XDG_DATA_HOME"),
        writing(data_folder()),
    ):
        pass
    other = tmp_path / "file" / "other"
    with pytest.raises(GdbenchError, match=r"^cannot write .*other \(.+\); choose another folder$"), writing(other):
        pass


@pytest.mark.parametrize(
    "command",
    ["checkpoint import {file} --gan sngan", "run --gan sngan --method random --k 2 --tier smoke --checkpoint {file}"],
)
@pytest.mark.parametrize("home", ["/proc", "file"])
def test_importing_into_a_home_that_cannot_be_written_is_one_line(command: str, home: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    weights = bytearray((PLUGINS / "gdbench_sngan/checkpoints/scenes32.safetensors").read_bytes())
    weights[-4] ^= 1  # the last digit of one number: no longer the file that is shipped, which would need no import
    (tmp_path / "ok32.safetensors").write_bytes(weights)
    words = command.format(file=tmp_path / "ok32.safetensors").split()
    environment = {**os.environ, "HOME": str(tmp_path / home)}
    environment.pop("XDG_DATA_HOME", None)
    result = subprocess.run(
        [sys.executable, "-m", "gdbench", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"gdbench: cannot write {tmp_path / home}/.local/share/gdbench")
    assert result.stderr.endswith("; set XDG_DATA_HOME to a folder for data\n")
    assert result.stderr.count("\n") == 1
