"""Pages in a real browser: they load from disk, fetch nothing, sort, filter, restore, fit a phone, run no string."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from gdbench.boards.board import Leaderboard
from gdbench.boards.cells import short
from gdbench.boards.exports import to_json, to_markdown
from gdbench.evaluation.pictures import save_tiles
from gdbench.report.evidence import Evidence
from gdbench.report.pages import pages, run_text
from gdbench.runs.inverted import EDITS, PAIRS, Kept, Picture
from tests.boards.test_exports import NASTY
from tests.browser import CHROMIUM, MISSING, Browser, Page, address, browser
from tests.report.synthetic import board_of, hostile, made_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

PAGES = ("index.html", "generator-gan-small.html", "run-gan-small-alpha-s0-k4.html", "run-gan-small-delta-s0-k4.html")
LOOK = "[document.documentElement.scrollWidth, innerWidth]"
VALUES = """[...document.querySelectorAll("table.board")].map((table) => ({
  heads: [...table.tHead.rows[0].cells].slice(1, -1).map((head) => [head.dataset.metric, head.dataset.column]),
  rows: [...table.tBodies[0].rows].map((row) => ({
    method: row.querySelector(".method").textContent,
    values: [...row.cells].slice(1, -1).map((cell) => cell.dataset.value),
    shown: [...row.cells].slice(1, -1).map((cell) => cell.querySelector(".value").textContent),
  })),
  csv: table.closest("section").querySelector("textarea").value,
}))"""
METHODS = """[...document.querySelectorAll("table.board")].map((table) => [...table.tBodies[0].rows]
  .filter((row) => row.getClientRects().length).map((row) => row.querySelector(".method").textContent))"""
SCRIPTS = [text for text in NASTY if re.search("[<\"']|script:", text)]
SPY = "window.ran = 0; window.alert = () => { window.ran += 1; };"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Evidence]:
    return made_in(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def board(runs: list[Evidence]) -> Leaderboard:
    return board_of(runs)


@pytest.fixture(scope="module")
def report(runs: list[Evidence], board: Leaderboard, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for file, text in dict(pages(board, runs, [], {"alpha": "Someone, 2020"})).items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def index(chromium: Browser, report: Path) -> Iterator[Page]:
    page = chromium.open(address(report / "index.html"))
    yield page
    page.close()


@pytest.mark.parametrize("file", PAGES)
@pytest.mark.parametrize("width", [1200, 375])
def test_a_page_loads_from_disk_whole_and_quiet_and_fits(
    chromium: Browser, report: Path, file: str, width: int
) -> None:
    page = chromium.open(address(report / file), width)
    page.run("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    page.until("[...document.images].every((image) => image.complete)")
    assert page.run("[...document.images].every((image) => image.naturalWidth > 0)")
    wide, window = page.run(LOOK)
    assert wide <= window == width
    assert page.requests() == []
    assert page.complaints() == []
    page.close()


def test_every_strip_of_a_run_is_a_picture(chromium: Browser, report: Path) -> None:
    """The strips are cut from one atlas; what cannot be decoded would be drawn as a broken image."""
    page = chromium.open(address(report / PAGES[2]))
    size = page.run(
        """(async () => { const image = new Image(); image.src = document.querySelector("#atlas").href.baseVal;
        await image.decode(); return [image.naturalWidth, image.naturalHeight]; })()"""
    )
    assert size == [2 * 5 * 16, 4 * 16]
    assert page.run("document.querySelector('#atlas').href.baseVal.length") > 2000  # strangers' text is cut
    page.close()


def test_columns_sort_from_the_keyboard_with_controls_below_and_the_address_restores_it(index: Page) -> None:
    published = index.run(METHODS)[0]
    assert published == ["alpha", "beta", "gamma", "delta", "chance", "taught"]
    index.run("document.querySelector('th[data-column=reach] button').focus()")
    index.press("Enter")
    assert index.run("document.querySelector('th[data-column=reach]').getAttribute('aria-sort')") == "descending"
    assert index.run(METHODS)[0] == ["alpha", "beta", "gamma", "delta", "taught", "chance"]
    index.press("Enter")
    rising = index.run(METHODS)[0]
    assert rising == ["gamma", "beta", "alpha", "delta", "chance", "taught"]  # without a number: last
    assert index.run("location.hash") == "#sort=reach&order=ascending"
    index.go(index.run("location.href"))
    index.send("Page.reload")
    index.until("document.readyState === 'complete' && document.querySelector('th button')")
    assert index.run(METHODS)[0] == rising
    index.run("document.querySelector('th[data-column=reach] button').click()")
    assert index.run(METHODS)[0] == published
    assert index.run("location.hash") == ""


def test_filters_filter_and_the_address_restores_them(chromium: Browser, report: Path, index: Page) -> None:
    def choose(name: str, value: str) -> None:
        index.run(
            f"(() => {{ const one = document.querySelector('select[name={name}]'); one.value = '{value}'; "
            "one.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    assert index.run("document.querySelector('output').textContent") == "8 of 8 rows shown; ranks as published"
    choose("role", "control")
    choose("k", "4")
    assert index.run(METHODS) == [["chance"], []]
    assert index.run("document.querySelector('output').textContent").startswith("1 of 8 rows shown")
    other = chromium.open(index.run("location.href"))
    assert other.run(METHODS) == [["chance"], []]
    assert other.run("document.querySelector('select[name=role]').value") == "control"
    other.close()
    choose("metric", "effort")
    heads = "[...document.querySelectorAll('thead')][0].rows[0].cells"
    shown = index.run(f"[...{heads}].filter((head) => !head.hidden).map((head) => head.textContent.trim())")
    assert shown == ["method", "images ↓", "best direction"]
    choose("metric", "")
    strange = chromium.open(address(report / "index.html") + "#role=nobody&sort=nothing&order=up&tab=%3Cscript%3E")
    assert strange.run(METHODS)[0] == ["alpha", "beta", "gamma", "delta", "chance", "taught"]
    assert strange.complaints() == []
    strange.close()


def test_all_metrics_are_on_a_second_tab_that_the_address_names(chromium: Browser, report: Path) -> None:
    page = chromium.open(address(report / PAGES[1]))
    seen = "['.overview', '.everything'].map((one) => document.querySelector(one).getClientRects().length > 0)"
    assert page.run(seen) == [True, False]
    page.run("document.querySelector('.tabs button[value=all]').click()")
    assert page.run(seen) == [False, True]
    assert page.run("location.hash") == "#tab=all"
    page.media(media="print")
    assert page.run(seen) == [True, True]
    page.close()


def test_numbers_are_the_same_in_page_csv_json_and_markdown(index: Page, board: Leaderboard) -> None:
    told = json.loads(to_json(board))["boards"]
    tables = [block for block in to_markdown(board).split("\n\n") if block.startswith("| \\#")]
    compared = 0
    seen = index.run(VALUES)
    for table, known, text in zip(seen, told, tables, strict=True):
        entries = {
            (row["method"], entry["metric"], entry["column"]): entry["mean"]
            for row in known["rows"]
            for entry in row["entries"]
        }
        lines = {
            (row["method"], row["metric"], row["column"]): row["mean"]
            for row in csv.DictReader(io.StringIO(table["csv"]))
        }
        body = [line.split(" | ") for line in text.splitlines()[2:]]
        assert len(body) == len(table["rows"])
        for row, cells in zip(table["rows"], body, strict=True):
            assert cells[1].split(" ")[0] == row["method"]
            for (metric, column), value, shown, cell in zip(
                table["heads"], row["values"], row["shown"], cells[2:], strict=True
            ):
                mean = entries[row["method"], metric, column]
                compared += mean is not None
                assert (float(value) if value else None) == mean
                assert (lines[row["method"], metric, column] or None) == (None if mean is None else str(mean))
                assert shown == ("∅" if mean is None else short(mean))
                assert cell.strip(" |").split(" ")[0] == shown
    assert compared > 20


@pytest.mark.parametrize("policy", [True, False], ids=["with policy", "without policy"])
@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: repr(text)[:30])
def test_no_string_of_a_stranger_runs(
    text: str, policy: bool, chromium: Browser, runs: list[Evidence], tmp_path: Path
) -> None:
    """Not on loading, clicking or pointing; without the policy too, so that it is escaping that stops it."""
    strange = [hostile(one, text) for one in runs]
    made = dict(pages(board_of(strange, text), strange, [text], {text: text, f"beta{text}": text}, [text]))
    chosen = [next(file for file in made if file.startswith(kind)) for kind in ("index", "generator", "run")]
    page = chromium.open("about:blank")
    page.send("Page.addScriptToEvaluateOnNewDocument", source=SPY)
    for file in chosen:
        content = made[file] if policy else re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", made[file])
        (tmp_path / file).write_text(content, encoding="utf-8")
        page.go(address(tmp_path / file))
        page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.run("document.querySelectorAll('th button, .tabs button').forEach((one) => one.click())")
        page.run(
            "document.querySelectorAll('body *').forEach((one) => { for (const kind of ['mouseover', 'focus', 'error'])"
            " one.dispatchEvent(new Event(kind, { bubbles: true })); })"
        )
        assert page.run("window.ran") == 0
        assert page.run("[...document.querySelectorAll('a')].every((one) => /^(file:|$)/.test(one.protocol))")
    assert page.requests() == []
    assert page.complaints() == []
    page.close()


@pytest.mark.parametrize("text", ["plain", SCRIPTS[0], SCRIPTS[2]], ids=lambda text: repr(text)[:30])
def test_a_picture_is_saved_as_svg_and_png_that_hold_no_script(
    text: str, chromium: Browser, runs: list[Evidence], tmp_path: Path
) -> None:
    strange = [hostile(one, text) for one in runs]
    made = dict(pages(board_of(strange, text), strange, [], {}))
    file = next(file for file in made if file.startswith("generator"))
    (tmp_path / file).write_text(made[file], encoding="utf-8")
    page = chromium.open(address(tmp_path / file))
    page.run(
        "URL.createObjectURL = (blob) => { window.saved = blob; return '#'; }; "
        "HTMLAnchorElement.prototype.click = function () { window.named = this.download; };"
    )
    save = (
        "[...document.querySelectorAll('figure.picture button')].find((one) => one.textContent.includes('%s')).click()"
    )
    page.run(save % "SVG")
    page.until("window.saved")
    root = ElementTree.fromstring(page.run("window.saved.text()"))
    kinds = {element.tag.split("}")[1] for element in root.iter()}
    assert kinds <= {"svg", "g", "rect", "path", "line", "text", "circle", "title", "polyline"}
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name]
    assert re.fullmatch(r"[a-z0-9-]+\.svg", page.run("window.named"))
    page.run("window.saved = null")
    page.run(save % "PNG")
    page.until("window.saved")
    head = page.run("window.saved.arrayBuffer().then((data) => [...new Uint8Array(data)].slice(1, 4))")
    assert bytes(head) == b"PNG"
    assert page.complaints() == []
    page.close()


def test_a_page_prints_on_paper_without_controls(chromium: Browser, report: Path) -> None:
    page = chromium.open(address(report / PAGES[1]))
    assert page.pdf().startswith(b"%PDF")
    page.media(media="print")
    controls = "figure button, .tabs button, .copy button, select"
    assert page.run(f"[...document.querySelectorAll('{controls}')].every((one) => !one.getClientRects().length)")
    page.close()


def test_tables_are_tables_with_heads_and_names(chromium: Browser, report: Path) -> None:
    """What a screen reader is told: every table has headed columns and rows, every control a name."""
    page = chromium.open(address(report / PAGES[1]))
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if "role" in node]
    assert roles.count("table") >= 3
    assert roles.count("columnheader") > 10
    assert roles.count("rowheader") > 10
    controls = [node for node in nodes if node.get("role", {}).get("value") in ("button", "combobox", "link", "img")]
    assert all(node.get("name", {}).get("value") for node in controls if not node.get("ignored"))
    page.close()


def test_pictures_of_ones_own_are_shown_with_their_edits(
    chromium: Browser, runs: list[Evidence], tmp_path: Path
) -> None:
    one = runs[0]
    images = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16).expand(4, -1, -1, -1)
    save_tiles(images, 1, 2, tmp_path / PAIRS)
    save_tiles(images.repeat(10, 1, 1, 1), 2, 5, tmp_path / EDITS)
    mine = (Picture("<b>me.png", 0.02, 31.4), Picture("you.png", 0.3, 18.0))
    kept = Kept(tmp_path, "", "z", one.record.id, mine, (0.9, 1.1))
    (tmp_path / "page.html").write_text(run_text(one, None, kept), encoding="utf-8")
    page = chromium.open(address(tmp_path / "page.html"), 375)
    assert page.run("[...document.querySelectorAll('.mine tbody th')].map((one) => one.textContent)") == [
        "<b>me.png",
        "you.png",
    ]
    seen = page.run("document.body.innerText")
    for words in (".020", "31.4", "correlation .900, size 1.1", "on 2 pictures of one's own"):
        assert words in seen
    for name, size in (("pairs", [32, 32]), ("edits", [160, 64])):
        found = page.run(
            f"(async () => {{ const image = new Image(); image.src = document.querySelector('#{name}').href.baseVal; "
            "await image.decode(); return [image.naturalWidth, image.naturalHeight]; })()"
        )
        assert found == size
    drawn = "[...document.querySelectorAll('svg.strip use')].map((one) => one.href.baseVal)"
    assert sorted(page.run(drawn)) == ["#atlas"] * 3 + ["#edits"] * 3 + ["#pairs"] * 2
    wide, window = page.run(LOOK)
    assert wide <= window == 375
    assert page.complaints() == []
    page.close()


def test_all_metrics_copy_on_the_second_tab(chromium: Browser, report: Path, board: Leaderboard) -> None:
    """The button puts the text into the clipboard; CSV holds each number of the metric, the others as many rows."""
    page = chromium.open(address(report / PAGES[1]) + "#tab=all")
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    copied = page.run(
        """(async () => {
        const taken = []; document.execCommand = () => { taken.push(document.activeElement.value); return true; };
        Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { taken.push(text); } } });
        const boxes = [...document.querySelector(".everything").querySelectorAll("details[data-metric]")];
        for (const box of boxes) for (const button of box.querySelectorAll(".copy button")) button.click();
        await new Promise((done) => setTimeout(done, 50));
        return boxes.map((box, i) => [box.dataset.metric, ...taken.slice(3 * i, 3 * i + 3)]); })()"""
    )
    shown = board.boards[0]
    assert [metric for metric, *_ in copied] == ["known", "effort"]
    for metric, text, markdown, latex in copied:
        entries = [(row.method, one) for row in shown.rows for one in row.entries if one.metric == metric]
        lines = list(csv.DictReader(io.StringIO(text)))
        assert [(line["method"], line["column"], line["mean"]) for line in lines] == [
            (method, one.column, "" if one.mean is None else str(one.mean)) for method, one in entries
        ]
        assert len(markdown.strip().splitlines()) == 2 + len(shown.rows)
        assert latex.count("\\\\\n") == 1 + len(shown.rows)
        assert latex.startswith("\\begin{table}")
    page.close()


def test_a_part_of_the_coverage_bar_opens_its_list_with_reasons(index: Page) -> None:
    opened = "[...document.querySelectorAll('details[data-part][open]')].map((one) => one.innerText.trim())"
    assert index.run(opened) == []
    for part, words in (("done", "gan-small-alpha-s0-k4"), ("failed", "gan-small-delta-s0-k4: it broke")):
        index.run(f"document.querySelector('.coverage .{part}').dispatchEvent(new MouseEvent('click'))")
        (text,) = index.run(opened)
        assert words in text


def test_a_number_leads_to_the_score_of_its_run(index: Page, chromium: Browser, report: Path) -> None:
    place = index.run("document.querySelector('tr[data-role=method] td.number a').getAttribute('href')")
    page = chromium.open(address(report / "index.html").replace("index.html", place))
    row = page.run("document.querySelector('tr:target').innerText.replaceAll('\\t', ' ').split(/\\s+/)")
    assert row == ["known", "reach", ".600"]
    page.close()
