"""Pictures of directions show the living ones, the purest first; dead ones are a word in the title."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from gdbench.evaluation.calibration import Calibration
from gdbench.runs.drawing import best_first, said
from gdbench.runs.tables import write_tables
from tests.report.synthetic import record, write_folder


def written(folder: Path) -> Calibration:
    """Shares rise from .1 to .8 with the index, and direction 1 is dead on both sides."""
    write_folder(folder, record("alpha", 0, 0.5))
    write_tables(folder, {"known": pd.DataFrame({"plus": ["turns hue"] * 4, "share": [0.1, 0.3, 0.6, 0.8]})})
    return Calibration.load(folder)


def test_the_purest_come_first_and_the_dead_are_named_in_the_title(tmp_path: Path) -> None:
    calibration = written(tmp_path / "a")
    assert best_first(tmp_path / "a", calibration) == ([3, 2, 0], "; 1 dead: 1")
    assert said(tmp_path / "a")[2] == "turns hue .60"
    half = replace(calibration, change=calibration.change.clone())
    half.change[0, 1] = 0.0  # one dead side is no dead direction
    assert best_first(tmp_path / "a", half) == ([3, 2, 0], "; 1 dead: 1")
    (tmp_path / "a" / "tables.parquet").unlink()  # nothing is known of shares
    assert best_first(tmp_path / "a", calibration) == ([0, 2, 3], "; 1 dead: 1")


def test_where_all_are_dead_all_are_shown(tmp_path: Path) -> None:
    calibration = written(tmp_path / "a")
    gone = replace(calibration, change=torch.zeros_like(calibration.change))
    assert best_first(tmp_path / "a", gone) == ([3, 2, 1, 0], "")
