"""Pages say what boards and records say, lead to one another, fetch nothing, and obey no text of strangers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gdbench.boards.acceptance import read_tests
from gdbench.boards.answer import answer, summary
from gdbench.boards.board import Leaderboard
from gdbench.boards.cells import short
from gdbench.boards.joined import joined
from gdbench.boards.leaderboard import leaderboard
from gdbench.record import Cost
from gdbench.report.evidence import Direction, Evidence
from gdbench.report.gallery import budget_picture
from gdbench.report.pages import charts_of, pages
from gdbench.report.places import run_page, slug
from tests.boards.test_exports import NASTY
from tests.report.synthetic import COLUMNS, RULES, K, board_of, hostile, made_in, record

GOLDEN = Path(__file__).with_name("golden")
PAPERS = {"alpha": "Someone, 2020"}
VOID = {"meta", "img", "br", "link", "input"}


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Evidence]:
    return made_in(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def made(runs: list[Evidence]) -> dict[str, str]:
    return dict(pages(board_of(runs), runs, ["runs/x: not finished"], PAPERS))


def without_images(text: str) -> str:
    """Without what another version of an image or table library writes otherwise: images, and hashes of files."""
    return re.sub(r"\b[0-9a-f]{64}\b", "sha256", re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "data:", text))


def test_the_pages_are_the_golden_ones(made: dict[str, str]) -> None:
    """Bytes but for images: ``git diff tests/report/golden`` shows what a change of templates does.

    After a change that is meant, remove ``golden`` and run this test, which then fails once and writes it anew.
    """
    chosen = [
        "index.html",
        *(page for page in made if page.startswith("generator-")),
        run_page("gan-small-alpha-s0-k4"),
    ]
    assert len(chosen) == 3
    if not GOLDEN.exists():
        GOLDEN.mkdir()
        for page in chosen:
            (GOLDEN / page).write_text(without_images(made[page]), encoding="utf-8")
        pytest.fail("golden pages were written: look at them")
    for page in chosen:
        assert without_images(made[page]) == (GOLDEN / page).read_text(encoding="utf-8"), page


def test_the_same_records_in_any_order_give_the_same_bytes(runs: list[Evidence], made: dict[str, str]) -> None:
    assert dict(pages(board_of(runs[::-1]), runs[::-1], ["runs/x: not finished"], PAPERS)) == made


def test_every_page_parses_and_every_link_leads_to_a_page_and_a_place_in_it(made: dict[str, str]) -> None:
    parsed = {page: Parsed(text) for page, text in made.items()}
    places = {page: {attrs["id"] for _, attrs in one.tags if "id" in attrs} for page, one in parsed.items()}
    links = 0
    for page, one in parsed.items():
        assert one.open == []
        for tag, attrs in one.tags:
            if tag in ("a", "use") and (href := attrs["href"]):
                target, _, place = href.partition("#")
                links += 1
                assert (target or page) in made
                assert not place or place in places[target or page], href
    assert links > 50


def test_a_generator_says_what_the_factors_of_its_domain_are(runs: list[Evidence], made: dict[str, str]) -> None:
    domain = runs[0].record.domain
    told = dict(pages(board_of(runs), runs, [], PAPERS, factors={domain: {"scale": "how large <it> is"}}))
    (page,) = [page for page, text in told.items() if "What the factors are" in text]
    assert "how large <it> is" in Parsed(told[page]).text
    assert "What the factors are" not in made[page]


def test_the_policy_allows_our_style_and_script_alone(made: dict[str, str]) -> None:
    for text in made.values():
        (policy,) = [
            str(attrs["content"])
            for tag, attrs in Parsed(text).tags
            if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policy.startswith("default-src 'none'; img-src data:; ")
        for kind in ("style", "script"):
            (inner,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy
        assert not re.search(r"<[^>]* style=", text)


def test_the_index_says_what_the_board_says(runs: list[Evidence], made: dict[str, str]) -> None:
    board = board_of(runs)
    text = " ".join(Parsed(made["index.html"]).text.split())
    for one in board.boards:
        for sentence in [*summary(board), *answer(one).sentences]:
            assert sentence in text
        for row in answer(one).rows:
            for entry in row.entries:
                assert entry.mean is None or short(entry.mean) in text
    assert "1 failed" in text
    assert "gan-small-delta-s0-k4: it broke" in text
    assert "known.reach, known.both: nothing could be told" in text
    assert "known.untried: it cannot tell copies" in text
    assert "runs/x: not finished" in text
    assert "Someone, 2020" in text
    assert "◐ 2/3" in text
    assert not re.search(r"\b(nan|None|inf)\b", text, re.IGNORECASE)


def test_rows_lead_to_their_runs_and_controls_are_tinted_below(made: dict[str, str]) -> None:
    body = made["index.html"].split('<table class="board">')[1]
    order = re.findall(r'<tr class="(tinted)?" data-role="(\w+)">', body.split("</table>")[0])
    assert [role for _, role in order] == ["method"] * 4 + ["control", "reference"]
    assert [bool(tint) for tint, _ in order] == [False] * 4 + [True, True]
    for seed in range(3):
        assert f'href="{run_page(f"gan-small-beta-s{seed}-k4")}"' in body


def test_the_page_of_a_generator_shows_who_finds_what(made: dict[str, str]) -> None:
    (text,) = [text for page, text in made.items() if page.startswith("generator-")]
    gallery = text.split('<table class="gallery">')[1].split("</table>")[0]
    assert re.findall(r'<tr><th scope="row">(\w+)</th>', gallery) == ["hue", "size"]
    assert gallery.count('loading="lazy"') == 2 * 5
    assert gallery.count(".750") == 2 * 5  # the text, and the picture's alternative
    assert "texture (fails steering)" in text
    matrix = text.split('<table class="matrix">')[1].split("</table>")[0]
    assert "2 wins, 0 ties, 0 losses" in matrix


def test_the_page_of_a_run_shows_directions_by_share_and_folds_the_dead(made: dict[str, str]) -> None:
    text = made[run_page("gan-small-alpha-s0-k4")]
    assert re.findall(r'<tr id="d(\d)">', text) == ["3", "2", "0"]
    assert "1 dead: no visible change in range" in text
    assert "hue .800" in text
    assert text.count('<use href="#atlas"/>') == 3
    assert "1.39 / 1.39" in text  # where the curve passes .30
    for words in ("gdbench run --gan gan --method alpha --seed 0", "abc123", "strips.webp", "60"):
        assert words in text
    failed = Parsed(made[run_page("gan-small-delta-s0-k4")]).text
    assert "failed: it broke" in failed


def test_a_run_without_files_has_a_page_too() -> None:
    text = dict(pages(Leaderboard(()), [Evidence(record("alpha", 0, 0.5))], [], {}))[run_page("gan-small-alpha-s0-k4")]
    assert "Directions" not in Parsed(text).text
    assert "both" in Parsed(text).text


@pytest.fixture(scope="module")
def plain_tags(made: dict[str, str]) -> set[tuple[str, str]]:
    return {(tag, name) for text in made.values() for tag, attrs in Parsed(text).tags for name in ["", *attrs]}


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_text_of_strangers_is_shown_as_text(text: str, runs: list[Evidence], plain_tags: set[tuple[str, str]]) -> None:
    """No element or attribute that pages do not have anyway, and no address that leads out."""
    strange = [hostile(one, text) for one in runs]
    papers = dict.fromkeys([text, f"beta{text}"], text)
    for page, content in dict(pages(board_of(strange, text), strange, [text], papers)).items():
        assert re.fullmatch(r"(index|run-[a-z0-9._-]*|generator-[a-z0-9._-]*)\.html", page)
        assert len(page) < 120
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", content)
        parsed = Parsed(content)
        for tag, attrs in parsed.tags:
            assert {(tag, name) for name in ["", *attrs]} <= plain_tags
            for name in ("href", "src"):
                assert re.fullmatch(r"(#|data:image/webp|(index|run-|generator-)[^:/]*).*", attrs.get(name) or "#")


def test_a_reference_with_a_k_of_its_own_stands_below_the_methods(runs: list[Evidence]) -> None:
    records = [one.record for one in runs if one.record.cell.k == K]
    taught = [replace(one, cell=replace(one.cell, k=2)) for one in records if one.role == "reference"]
    apart = leaderboard([one for one in records if one.role != "reference"] + taught, COLUMNS, RULES)
    assert len(apart.boards) == 2
    (board,) = joined(apart.boards)
    assert [row.method for row in board.rows][-2:] == ["chance", "taught, K = 2"]
    entry = board.rows[-1].entry("known", "both")
    assert (entry.mean, entry.rank, entry.mark) == (pytest.approx(0.71), None, "")
    text = dict(pages(apart, [], [], {}))["index.html"]
    assert text.count('<table class="board">') == 1
    assert text.count('<path class="reference"') == 1


def test_who_rendered_more_than_the_tier_allows_is_marked(runs: list[Evidence]) -> None:
    """The cap of the tier standard is a million images."""
    spent = [
        replace(one, record=replace(one.record, costs={"discover": Cost(images=1_000_001)}))
        if one.record.id == "gan-small-beta-s1-k4"
        else one
        for one in runs
    ]
    text = dict(pages(board_of(spent), spent, [], {}))["index.html"]
    rows = re.findall(r'<span class="method">(\w+)</span>(.*?)</th>', text, re.DOTALL)
    assert {name for name, rest in rows if "over budget" in rest} == {"beta"}
    assert "1,000,001 images, more than the tier allows" in text


def test_budgets_are_a_curve_where_a_method_has_several(runs: list[Evidence]) -> None:
    records = [one.record for one in runs if one.record.cell.k == K]
    cheap = [
        replace(one, id=f"{one.id}-quick", cell=replace(one.cell, tier="quick", method_params={"steps": 1}))
        for one in records
    ]
    board = leaderboard([*records, *cheap], COLUMNS, RULES)
    assert [one.key.tier for one in board.boards] == ["quick", "standard"]
    first, second = (budget_picture(one, board.boards) for one in board.boards)
    assert second is None
    assert first is not None
    assert len(first.curves) == 5  # delta has no number
    (start, stop) = (float(point.split(",")[0]) for point in first.curves[0][1].split())
    assert start < stop
    assert budget_picture(board.boards[0], board.boards[:1]) is None
    (text,) = [text for page, text in dict(pages(board, [], [], {})).items() if page.startswith("generator-")]
    assert text.count('aria-label="both over the budget"') == 1
    assert text.count('<polyline class="curve') == 5


def on_six_generators(runs: list[Evidence], generators: int = 6) -> Leaderboard:
    """The suite again and again: on each generator numbers differ a little, and the order is the same."""
    records = [one.record for one in runs if one.record.cell.k == K and one.record.cell.method in ("alpha", "beta")]
    records += [replace(one, cell=replace(one.cell, method="omega"), id=f"{one.id}-o") for one in records[-3:]]
    return leaderboard(
        [
            replace(one, cell=replace(one.cell, generator=f"gan{number}"), id=f"{number}-{one.id}")
            for number in range(generators)
            for one in records
        ],
        COLUMNS,
        RULES,
    )


def test_a_critical_difference_is_drawn_from_six_generators_on(runs: list[Evidence]) -> None:
    """Ranks 1, 2.5, 2.5: Nemenyi's difference of three methods on six generators is 2.343 * sqrt(1 / 3) = 1.35."""
    text = dict(pages(on_six_generators(runs), [], [], {}))["index.html"]
    picture = text.split('aria-label="both: mean ranks over 6 generators"')[1].split("</svg>")[0]
    assert re.findall(r"<title>(\w+): mean rank ([\d.]+)</title>", picture) == [
        ("alpha", "1"),
        ("beta", "2.5"),
        ("omega", "2.5"),
    ]
    bars = re.findall(r'<polyline class="curve c\d" points="([^"]+)"', picture)
    assert len(bars) == 2  # how far it is, and beta with omega
    assert "critical difference 1.35" in picture
    assert "Demšar 2006" in text
    fewer = dict(pages(on_six_generators(runs, 5), [], [], {}))["index.html"]
    assert "mean ranks over" not in fewer
    assert "Demšar" not in fewer
    charts = charts_of(on_six_generators(runs), [])
    assert [name for name in charts if name.startswith("ranks-")] == [
        f"ranks-known-{column}-standard-k4" for column in ("reach", "purity", "both")
    ]


def test_the_tests_behind_columns_are_a_table(runs: list[Evidence], tmp_path: Path) -> None:
    path = tmp_path / "acceptance.json"
    evidence = [{"generator": "g", "passed": False, "numbers": "0.1 < 0.2"}]
    cells = [
        {"column": "known.both", "test": "copies", "verdict": "fails", "evidence": evidence},
        {"column": "known.both", "test": "lens", "verdict": "passes", "evidence": []},
        {"column": "effort.images", "test": "lens", "verdict": "does not apply", "evidence": []},
    ]
    refused = {"known.both": "copies: fails", "effort.images": ""}
    path.write_text(json.dumps({"versions": {}, "refused": refused, "cells": cells}))
    tests = read_tests(path)
    assert tests is not None
    assert [column for column, _, _ in tests.rows] == ["known.both"]
    text = Parsed(dict(pages(board_of(runs), runs, [], {}, ["gan x never, seed 0"], tests))["index.html"]).text
    assert "no: copies: fails" in text
    assert "0.1 < 0.2" in text
    assert "1 not run yet" in text
    assert "gan x never, seed 0" in text
    path.write_text("[]")
    assert read_tests(path) is None
    assert read_tests(tmp_path / "none") is None


def test_names_that_were_changed_are_told_apart() -> None:
    assert slug("a-b_c.1") == "a-b_c.1"
    assert len({slug(text) for text in ["a/b", "a:b", "A-B", "a-b", "../a-b"]}) == 5


def test_columns_that_only_stand_once_are_no_picture(runs: list[Evidence]) -> None:
    columns = {"known": COLUMNS["known"][2:]}
    text = dict(pages(leaderboard([one.record for one in runs], columns, RULES), runs, [], {}))["index.html"]
    assert '<figure class="picture">' not in text


def test_a_direction_leads_where_its_share_is_largest() -> None:
    assert Direction(0, {"a": 0.2, "b": 0.5}).leading == "b"
    assert replace(Direction(0), shares={"a": 0.0}).leading == ""
    assert not Direction(0).dead
    assert Direction(0, magnitudes=(None, None)).dead
    assert not Direction(0, magnitudes=(None, 1.0)).dead
