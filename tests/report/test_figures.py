"""Charts as files: all kinds, the same bytes twice, the same points as the page, and no text that is obeyed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gdbench.errors import UsageError
from gdbench.report.charts import Picture
from gdbench.report.evidence import Evidence
from gdbench.report.figures import figure, write_figures
from gdbench.report.pages import charts_of
from tests.boards.test_exports import NASTY
from tests.report.synthetic import board_of, hostile, made_in

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Evidence]:
    return made_in(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def pictures(runs: list[Evidence]) -> dict[str, Picture]:
    return charts_of(board_of(runs), runs)


def test_every_chart_is_written_in_every_kind_the_same_each_time(pictures: dict[str, Picture], tmp_path: Path) -> None:
    assert {name.split("-")[-2] for name in pictures} == {"quality", "cost"}
    files = write_figures(pictures, tmp_path / "a")
    assert len(files) == 3 * len(pictures)
    heads = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    assert all(file.read_bytes().startswith(heads[file.suffix[1:]]) for file in files)
    for file in write_figures(pictures, tmp_path / "b"):
        assert file.read_bytes() == (tmp_path / "a" / file.name).read_bytes()


def test_points_and_names_are_those_of_the_page(pictures: dict[str, Picture]) -> None:
    picture = next(one for name, one in pictures.items() if "quality" in name)
    (axes,) = figure(picture).axes
    drawn = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if line.get_marker() == "o"
    }
    assert {(mark.x, mark.y) for mark in picture.marks} <= drawn
    texts = {text.get_text() for text in axes.texts}
    assert {mark.label for mark in picture.marks} <= texts


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_text_of_strangers_is_drawn_as_text(text: str, runs: list[Evidence], tmp_path: Path) -> None:
    strange = [hostile(one, text) for one in runs[:9]]
    found = charts_of(board_of(strange, text), strange)
    for file in write_figures(dict(list(found.items())[:1]), tmp_path / "figures"):
        assert re.fullmatch(r"[a-z0-9._-]+", file.name)
        assert len(file.name) < 120
        assert file.parent == tmp_path / "figures"
        if file.suffix == ".svg":
            root = ElementTree.fromstring(file.read_bytes())
            kinds = {element.tag.split("}")[1] for element in root.iter()}
            assert not kinds & {"script", "a", "image", "foreignObject"}
            assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="pip install"):
        write_figures({}, tmp_path)
