"""Tables of a run: one file for all metrics, columns as they were returned, and the layout of earlier records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

import gdbench
from gdbench import PluginError
from gdbench.runs.tables import TABLES, Finding, as_table, findings, read_tables, write_tables

FIRST = pd.DataFrame({"leading": [1, -1], "R:a/b": [0.5, float("nan")]})
SECOND = pd.DataFrame({"name": ["x", "y"], "alive": [True, False]})


def test_all_metrics_share_one_file_and_keep_columns_and_types(tmp_path: Path) -> None:
    write_tables(tmp_path, {"second": SECOND, "first": FIRST, "none": pd.DataFrame()})
    assert [file.name for file in tmp_path.iterdir()] == [TABLES]
    found = read_tables(tmp_path)
    assert list(found) == ["first", "second"]
    for name, table in {"first": FIRST, "second": SECOND}.items():
        pd.testing.assert_frame_equal(found[name], table, check_names=False)


def test_folders_with_a_file_for_each_metric_are_read_and_brought_together(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    FIRST.to_parquet(tmp_path / "tables" / "first.parquet")
    pd.testing.assert_frame_equal(read_tables(tmp_path)["first"], FIRST)
    write_tables(tmp_path, {**read_tables(tmp_path), "second": SECOND})
    assert [file.name for file in tmp_path.iterdir()] == [TABLES]
    assert list(read_tables(tmp_path)) == ["first", "second"]


def test_no_table_is_no_file(tmp_path: Path) -> None:
    write_tables(tmp_path, {"first": FIRST})
    write_tables(tmp_path, {})
    assert not list(tmp_path.iterdir())
    assert read_tables(tmp_path) == {}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, 2.0], "b": [1.0]}, "returned 1 numbers for 2 directions as 'b'"),
        ({"a": [object(), object()]}, "cannot be kept"),
    ],
)
def test_what_cannot_be_kept_is_the_metrics_fault(columns: dict[str, list[float]], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        as_table(columns, 2)


def test_a_run_reads_back_one_row_for_each_direction(tmp_path: Path) -> None:
    run = gdbench.run("toy", "random", k=4, tier="smoke", metrics=("diversity", "factors"), out=tmp_path)
    table = run.per_direction
    assert len(table) == 4
    assert {metric for metric, _ in table} == {"diversity", "factors"}
    assert TABLES in run.record.files
    assert torch.isfinite(torch.tensor(table["diversity"].to_numpy(float))).any()


def test_findings_are_the_purest_directions_in_words(tmp_path: Path) -> None:
    words = pd.DataFrame({"plus": ["turns hue", "", "moves left"], "share": [0.2, 0.0, 0.7], "leading": [1, -1, 0]})
    write_tables(tmp_path, {"other": pd.DataFrame({"share": [1.0, 1.0, 1.0]}), "named": words})
    assert findings(tmp_path) == [Finding(2, "moves left", 0.7), Finding(0, "turns hue", 0.2)]
    assert findings(tmp_path / "nothing") == []
