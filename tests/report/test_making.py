"""``gdbench report``: pages from a folder of runs, or of one run; pages of an earlier report go, other files stay."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gdbench.cli import build_app
from gdbench.errors import IntegrityError
from gdbench.registry import load_registry
from gdbench.report.making import report_of
from gdbench.runs.suite import read_suite
from tests.report.synthetic import record, write_folder

ROOT = Path(__file__).parents[2]
RUNS = {"a": record("alpha", 0, 0.5), "b": record("beta", 0, None, status="failed")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, one in RUNS.items():
        write_folder(tmp_path / name, one)
    return tmp_path


def report(*arguments: str | Path) -> int:
    """The exit code that the command line gives, of an error too."""
    result = CliRunner().invoke(build_app(load_registry()), ["report", *map(str, arguments)])
    return getattr(result.exception, "exit_code", result.exit_code)


def test_a_folder_gets_an_index_and_pages_and_loses_those_of_an_earlier_report(folder: Path) -> None:
    assert report(folder) == 0
    first = {path.name: path.read_bytes() for path in (folder / "report").iterdir()}
    assert sorted(first) == [
        "generator-gan-small.html",
        "index.html",
        "run-gan-small-alpha-s0-k4.html",
        "run-gan-small-beta-s0-k4.html",
    ]
    (folder / "report" / "run-old.html").write_bytes(first["index.html"])
    (folder / "report" / "mine.html").write_text("<p>mine</p>")
    assert report(folder) == 0
    again = {path.name: path.read_bytes() for path in (folder / "report").iterdir()}
    assert again == first | {"mine.html": b"<p>mine</p>"}


def test_one_run_gets_its_page_alone_beside_its_folder(folder: Path) -> None:
    assert report(folder / "a") == 0
    (page,) = (folder / "report").iterdir()
    assert page.name == "run-gan-small-alpha-s0-k4.html"
    assert "index.html" not in page.read_text(encoding="utf-8")
    assert not (folder / "a" / "report").exists()


def test_a_run_that_cannot_be_believed_is_named_and_the_others_are_shown(folder: Path) -> None:
    (folder / "b" / "record.json").write_text("{}")
    assert report(folder, "--out", folder / "pages") == IntegrityError.exit_code
    text = (folder / "pages" / "index.html").read_text(encoding="utf-8")
    assert "1 not believed" in text
    assert "run-gan-small-alpha-s0-k4.html" in text
    assert report(folder / "b") == IntegrityError.exit_code


def test_pages_of_the_committed_board_are_small_and_say_no_nonsense() -> None:
    made = report_of(ROOT / "results" / "runs", load_registry(), read_suite(ROOT / "benchmarks" / "scenes-quick.yaml"))
    assert made.problems == []
    limits = {"index.html": 1_500_000, "generator-": 3_000_000, "run-": 2_000_000}
    made_pages = dict(made.pages)
    for page, text in made_pages.items():
        assert len(text.encode()) <= next(most for start, most in limits.items() if page.startswith(start)), page
        shown = re.sub(r'"data:image/[^"]*"', "", text)
        assert not re.search(r">\s*(nan|None|inf)\s*<", shown, re.IGNORECASE), page
    assert "Which columns are believed" in made_pages["index.html"]
    said = (ROOT / "docs" / "report.md").read_text().partition("## Five questions")[2].partition("\n## ")[0]
    everything = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)) for text in made_pages.values())
    everything = " ".join(everything.split())
    quotes = [" ".join(quote.split()) for quote in re.findall(r'"([^"]+)"', said)]
    assert [quote for quote in quotes if quote not in everything] == []
    assert len(quotes) > 10


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    assert report(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["tables.parquet", "strips.webp", "calibration.safetensors"])
def test_files_that_nobody_can_read_leave_gaps(folder: Path, file: str) -> None:
    from gdbench.report.evidence import evidence

    (folder / "a" / file).write_bytes(b"damaged")
    whole = evidence(RUNS["a"], folder / "a")
    assert {
        "tables.parquet": not whole.best,
        "strips.webp": whole.strips is None,
        "calibration.safetensors": all(one.magnitudes is None for one in whole.directions),
    }[file]
    assert len(whole.directions) == 4
