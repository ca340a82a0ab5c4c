"""``gdbench verify`` reads the weights too that runs name, where they are here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import gdbench
from gdbench.cli import build_app
from gdbench.registry import load_registry
from gdbench.weights.checkpoints import default_folder
from gdbench.weights.importing import import_checkpoint
from tests.plugins import writers_sngan


def verify(folder: Path) -> Any:
    return CliRunner().invoke(build_app(load_registry()), ["verify", str(folder)])


def test_weights_that_changed_are_named_and_others_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    torch.save(writers_sngan.mimicry(writers_sngan.Sizes()), tmp_path / "small.pth")
    spec = load_registry().generator("sngan").spec
    card = import_checkpoint(tmp_path / "small.pth", [spec], default_folder())
    made = {"k": 2, "tier": "smoke", "metrics": ("cost",), "out": tmp_path / "runs", "domain": "plain"}
    gdbench.run("sngan", "random", checkpoint=card.name, **made)  # type: ignore[arg-type]
    gdbench.run("toy", "random", **made)  # type: ignore[arg-type]
    good = verify(tmp_path / "runs")
    assert (good.exit_code, "0 leaderboards, 1 weights: all as recorded" in good.stdout) == (0, True), good.output
    weights = default_folder() / "sngan" / card.file
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    bad = verify(tmp_path / "runs")
    assert bad.exit_code == 5
    assert card.name in bad.stderr
    weights.unlink()
    gone = verify(tmp_path / "runs")
    assert (gone.exit_code, "0 weights (1 weights are not here)" in gone.stdout) == (0, True), gone.output
