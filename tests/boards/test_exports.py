"""The files of a leaderboard: equal numbers in all, short on the page, inert whatever stands in them."""

import csv
import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from gdbench import Column
from gdbench.boards.answer import answer
from gdbench.boards.cells import SIGNS, brief, latex, markdown, short
from gdbench.boards.exports import (
    FILES,
    differences,
    short_table,
    to_csv,
    to_json,
    to_latex,
    to_markdown,
    to_parquet,
    write,
)
from gdbench.boards.leaderboard import leaderboard
from gdbench.boards.rules import Rules
from gdbench.record import Score
from tests.boards.test_leaderboard import COLUMNS, GOOD, POOR, board, record, three

RANDOM = three("random", [0.5, 0.5, 0.51], role="control")
RULES = Rules(baselines=frozenset({"random"}))
MADE = leaderboard(
    [*GOOD, *POOR, *RANDOM, record("half", 0, 0.6), *[record("void", n, None) for n in range(3)]], COLUMNS, RULES
)

NASTY = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '" onmouseover="alert(1)" autofocus onfocus="alert(1)',
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "[a](javascript:x)",
    "https://example.org/x",
    "[/foo]",
    "[link=http://x]y[/link]",
    "a\x1b[2Jb",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "a|b",
    "`x`",
    "a\nb|c",
    "a_b & 50%|c",
    "\\input{x}$^~#{}",
    "../x",
    "CON",
    "a\u202eb",
    "x" * 10_000,
    "",
]


def hostile(text):
    """A leaderboard in which every text that strangers write is ``text``."""
    columns = {"rec": (Column(text, text, unit=text, ranked=True, headline=True), Column("leak", text, "lower"))}
    runs = [
        replace(
            run,
            domain=text,
            reason=text,
            scores={"rec": {text: run.scores["rec"]["kappa"], "leak": run.scores["rec"]["leak"]}} if run.scores else {},
            cell=replace(run.cell, checkpoint=text, space=text, generator_params={text: text}),
        )
        for run in [*three(text, [0.5, 0.6, 0.55]), *three("b", [0.2, 0.3, None]), record("c", 0, status="failed")]
    ]
    return leaderboard(runs, columns)


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_csv_holds_no_formula_and_no_control_character(text):
    found = list(csv.DictReader(io.StringIO(to_csv(hostile(text)))))
    assert len(found) == len(hostile(text).to_rows())
    for row in found:
        for cell in (row["method"], row["column"], row["checkpoint"], row["note"], row["domain"]):
            assert cell[:1] not in tuple("=+-@\t\r")
            assert cell.isprintable()
            assert len(cell) <= 2100
    means = {row["mean"] for row in found} - {""}
    assert means
    assert all(float(mean) > 0 for mean in means)


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_markdown_tables_stay_tables_and_nothing_in_them_is_obeyed(text):
    page = to_markdown(hostile(text))
    tables = [block for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for table in tables:
        bars = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in table.splitlines()}
        assert len(bars) == 1
    own = re.sub(r"</?(details|summary)>|<a id=\"[a-z0-9-]*\"></a>", "", page)
    assert "<" not in own.replace("\\\\", "").replace("\\<", "")
    links = re.findall(r"(?<!\\)\]\((.*?)\)", page)
    assert all(re.fullmatch(r"#[a-z0-9-]+", link) for link in links)
    assert not re.search(r"https?://", page)
    assert all(line.isprintable() for line in page.splitlines())


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_latex_sets_it_as_it_stands(text):
    page = to_latex(hostile(text))
    cells = [line for line in page.splitlines() if line.endswith("\\\\")]
    assert len(cells) == 4
    for line in cells:
        bare = re.sub(
            r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquotedbl)\{\}", "", line
        )
        bare = re.sub(r"\$\\[a-zA-Z]+\$|\\[{}$&#_%]|\{[\[\]]\}", "", bare.removesuffix("\\\\"))
        assert not set("\\{}$#_%^~<>|[]") & set(bare)
        assert bare.count("&") == 2
    assert all(ord(character) < 256 for character in page)


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_json_and_parquet_hold_it_as_data(text):
    made = hostile(text)
    assert json.loads(to_json(made))["boards"][0]["rows"][0]["method"] == text
    frame = pd.read_parquet(io.BytesIO(to_parquet(made)))
    assert len(frame) == len(made.to_rows())
    assert all(cell.isprintable() for cell in frame["method"])


def test_escapes_by_hand():
    assert latex("a_b & 50%|c ~^\\ [x]") == (
        r"a\_b \& 50\%\textbar{}c \textasciitilde{}\textasciicircum{}\textbackslash{} {[}x{]}"
    )
    assert markdown("https://a.b www.a.b") == "https\\://a.b www\\.a.b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.861, ".861"),
        (-0.05, "-.050"),
        (0.9999, "1"),
        (1.0, "1"),
        (8.701, "8.7"),
        (12.34, "12.3"),
        (999.6, "1k"),
        (91748, "91.7k"),
        (1e6, "1M"),
        (6.4e9, "6.4G"),
        (0.0001, "1e-04"),
    ],
)
def test_short_numbers(value, text):
    assert short(value) == text


def test_frame_and_json_hold_the_numbers_and_the_key_of_their_board():
    frame = MADE.to_frame().set_index(["method", "metric", "column"])
    assert frame.loc[("good", "rec", "kappa"), "mean"] == pytest.approx(0.81)
    assert frame.loc[("poor", "rec", "kappa"), "mark"] == "not separable"
    data = json.loads(to_json(MADE))
    first = data["boards"][0]["rows"][0]
    assert {"generator", "checkpoint", "weights", "params", "space", "tier", "k"} <= first.keys()
    assert first["entries"][0]["n"] == 3
    assert first["runs"] == [run.id for run in GOOD]
    assert data["boards"][0]["sentences"] == list(answer(MADE.boards[0]).sentences)


def test_numbers_are_equal_in_all_files():
    by_json = {
        (row["method"], entry["column"]): entry["mean"]
        for row in json.loads(to_json(MADE))["boards"][0]["rows"]
        for entry in row["entries"]
    }
    by_csv = {
        (row["method"], row["column"]): float(row["mean"]) if row["mean"] else None
        for row in csv.DictReader(io.StringIO(to_csv(MADE)))
    }
    frame = pd.read_parquet(io.BytesIO(to_parquet(MADE)))
    by_parquet = {
        (row.method, row.column): None if pd.isna(row.mean_) else row.mean_
        for row in frame.rename(columns={"mean": "mean_"}).itertuples()
    }
    assert by_json == by_csv == by_parquet
    page, tex = to_markdown(MADE), to_latex(MADE)
    for (method, column), value in by_json.items():
        if column == "kappa" and value is not None:
            assert re.search(rf"\| {method}[^|]*\| {re.escape(short(value))} ", page)
            assert re.search(rf"& {method}[^&]*& {re.escape(short(value))} ", tex)


def test_no_cell_is_blank_and_what_is_missing_says_so():
    head, body = short_table(answer(MADE.boards[0]))
    assert head == ["#", "method", "kappa ↑", "leak ↓"]
    assert all(cell and "nan" not in cell.lower() for line in body for cell in line)
    cells = {line[1]: line[2] for line in body}
    assert cells == {
        "good": ".810 ▲",
        "poor": ".507 ≈",
        "half": ".600 ◐ 1/3",
        "void": "∅",
        "random (control)": ".503",
    }
    page = to_markdown(MADE)
    assert "void 0/3: no number (3 seeds)" in page


def test_the_table_of_a_metric_has_the_rows_that_it_measured_and_names_the_others():
    columns = {"seldom": (Column("s", "", "neither"),), **COLUMNS}
    versions = {"metric:seldom": 1}
    runs = [
        replace(run, scores={**run.scores, "seldom": {"s": score}}, versions={**run.versions, **versions})
        for run, score in zip(GOOD, [Score(0.25), Score(None, "nothing to see"), Score(0.75)], strict=True)
    ]
    page = to_markdown(leaderboard([*runs, *POOR, *RANDOM, record("broken", status="failed")], columns, RULES))
    full = page[page.index("<details>") :]
    assert full.index("### rec") < full.index("### seldom"), "what is measured everywhere stands first"
    table = full[full.index("### seldom") :].split("\n\n")[1:3]
    assert [line.split(" | ")[0] for line in table[0].split("\n")[2:]] == ["| good", "| broken"]
    assert "void 0/3: failed: it broke" in table[0]
    assert table[1] == "Not measured: poor, random (control)."


def test_short_tables_have_seven_columns_at_most_the_headline_metrics_first():
    many = tuple(Column(f"c{n}", "", brief=True) for n in range(9))
    columns = {"other": many, **COLUMNS}
    runs = [
        replace(run, scores={**run.scores, "other": {f"c{n}": run.scores["cost"]["seconds"] for n in range(9)}})
        for run in [*GOOD, *POOR]
    ]
    head, _ = short_table(
        answer(board([replace(r, versions={**r.versions, "metric:other": 1}) for r in runs], columns=columns))
    )
    assert head == ["#", "method", "kappa ↑", "leak ↓", "c0 ↑", "c1 ↑", "c2 ↑"]


def test_headers_lead_to_what_columns_mean():
    page = to_markdown(MADE)
    assert "[kappa ↑](#rec-kappa)" in page
    assert '<a id="rec-kappa"></a>**rec.kappa**, higher is better: right answers' in page


def test_ties_share_a_rank_and_say_so():
    tied = answer(board([*GOOD, *three("like", [0.82, 0.81, 0.8]), *POOR]))
    assert [line[:2] for line in short_table(tied)[1]] == [["1=", "good"], ["1=", "like"], ["3", "poor"]]


def test_marks_stand_beside_numbers():
    assert [brief(row.entry("rec", "kappa"), SIGNS) for row in MADE.boards[0].rows][:2] == [".810 ▲", ".507 ≈"]


def test_files_are_written_and_checked(tmp_path):
    write(MADE, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(FILES)
    assert differences(MADE, tmp_path) == []
    other = leaderboard([*GOOD, *RANDOM], COLUMNS, RULES)
    assert len(differences(other, tmp_path)) == len(FILES)
    for file in FILES:
        whole = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(
            whole.replace(b"0.81", b"0.91").replace(b".810", b".910") if file != FILES[-1] else b"x"
        )
        (line,) = differences(MADE, tmp_path)
        assert file in line
        (tmp_path / file).unlink()
        (line,) = differences(MADE, tmp_path)
        assert f"{file}: missing" in line
        (tmp_path / file).write_bytes(whole)


def test_no_records_make_empty_files(tmp_path):
    made = leaderboard([], COLUMNS)
    write(made, tmp_path)
    assert differences(made, tmp_path) == []
    assert made.to_frame().empty
    assert to_csv(made) == "generator\n"
    assert json.loads(to_json(made)) == {"format": 3, "sentences": [], "boards": [], "notes": [], "across": []}
    assert to_markdown(made) == "# Leaderboard\n"
