"""Leaderboards in a terminal of 80 columns, and what the command's exit code says."""

import io
import json
import sys
from dataclasses import replace

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from gdbench import Column
from gdbench.boards.leaderboard import leaderboard
from gdbench.boards.rules import Rules
from gdbench.cli import build_app
from gdbench.cli.boards import show_leaderboard
from gdbench.registry import load_registry
from gdbench.runs.store import open_run
from gdbench.runs.tables import as_table, write_tables
from tests.boards.test_exports import NASTY, hostile
from tests.boards.test_leaderboard import COLUMNS, GOOD, POOR, record, three

RANDOM = three("random", [0.5, 0.5, 0.51], role="control")
RULES = Rules(baselines=frozenset({"random"}))
MADE = leaderboard(
    [*GOOD, *POOR, *RANDOM, record("half", 0, 0.6), *[record("void", n, None) for n in range(3)]], COLUMNS, RULES
)


def shown(capsys, made, **options):
    show_leaderboard(made, **options)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("everything", [False, True], ids=["short", "all"])
def test_nothing_is_wider_than_columns_says_and_no_word_is_broken(monkeypatch, capsys, width, everything):
    monkeypatch.setenv("COLUMNS", str(width))
    text = shown(capsys, MADE, everything=everything)
    assert max(map(cell_len, text.splitlines())) <= width
    words = set(text.split())
    for whole in ("good", "poor", "random", "(control)", "kappa", "leak", "not", "separable", ".810", "▲", "∅", "1/3"):
        assert whole in words, whole
    assert ("seconds" in words) == everything
    assert ("0.81 (0.79" in text) == everything


def test_one_table_for_each_board_the_best_first_and_marked(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(capsys, MADE).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("#"))
    assert [line.split()[:4] for line in lines[start + 2 : start + 5]] == [
        ["1", "good", ".810", "▲"],
        ["3", "poor", ".507", "≈"],  # below what is left of half, too
        ["–", "half", ".600", "◐"],
    ]
    assert sum(line.startswith("#") for line in lines) == 1


def test_many_columns_are_shown_below_one_another(monkeypatch, capsys):
    """In 80 columns, each part with its methods."""
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"column_{n:02d}" for n in range(20)]
    runs = [
        replace(
            run,
            scores={"m": dict.fromkeys(names, run.scores["rec"]["kappa"])},
            versions={**run.versions, "metric:m": 1},
        )
        for run in [*GOOD, *POOR]
    ]
    text = shown(capsys, leaderboard(runs, {"m": tuple(Column(name, "") for name in names)}), everything=True)
    assert max(map(len, text.splitlines())) <= 80
    assert all(sum(name in line for line in text.splitlines()) >= 1 for name in names)
    assert text.count("poor") > 5


def test_an_encoding_without_symbols_gets_plain_ones(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    show_leaderboard(MADE)
    screen.flush()
    text = screen.buffer.getvalue().decode("ascii")
    assert ".810 +" in text
    assert ".507 ~" in text
    assert "?" not in text.replace("kappa ?", "").replace("leak ?", "")


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text)[:30])
def test_hostile_text_is_shown_as_text(monkeypatch, capsys, text):
    monkeypatch.setenv("COLUMNS", "80")
    out = shown(capsys, hostile(text), everything=True)
    assert all(line.isprintable() for line in out.splitlines())


# The command


@pytest.fixture(scope="module")
def gdbench():
    app = build_app(load_registry())
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def folder(tmp_path):
    """Six finished runs of names that nobody has installed."""
    for run in [*GOOD, *POOR]:
        name = f"{run.cell.method}-{run.cell.seed}"
        with open_run(tmp_path, name) as made:
            best = {"best:hue": [float("nan"), 0.1 if run.cell.method == "poor" else 0.7], "other": [1.0, 2.0]}
            write_tables(made.path, {"rec": as_table(best, 2)})
            scores = {"rec": {**run.scores["rec"], "other": run.scores["rec"]["kappa"]}}
            run = replace(run, scores=scores)
            made.write(replace(run, id=name, cell=replace(run.cell, generator_params={"psi": 0.5})))
    return tmp_path


def test_a_run_that_is_dropped_is_told_by_the_exit_code_too(folder, gdbench):
    assert gdbench("leaderboard", folder).exit_code == 0
    (folder / "good-0" / "done").unlink()
    for options in ([], ["--json"], ["--write"]):
        done = gdbench("leaderboard", folder, *options)
        assert done.exit_code == 5
        assert "not counted: " in done.stderr
        assert "good-0" in done.stderr
        assert "1 of the runs" in done.stderr
    assert json.loads(gdbench("leaderboard", folder, "--json").stdout)["boards"]


def test_check_compares_what_is_written_with_what_the_records_give(folder, gdbench):
    assert gdbench("leaderboard", folder, "--check").exit_code == 5
    assert gdbench("leaderboard", folder, "--write").exit_code == 0
    good = gdbench("leaderboard", folder, "--check")
    assert (good.exit_code, good.stderr) == (0, "")
    page = folder / "leaderboard.md"
    page.write_text(page.read_text().replace("psi=0.5", "psi=0.7"))
    wrong = gdbench("leaderboard", folder, "--check")
    assert wrong.exit_code == 5
    assert "leaderboard.md: line" in wrong.stderr


def test_files_are_those_of_the_value(folder, gdbench):
    gdbench("leaderboard", folder, "--write")
    data = json.loads((folder / "leaderboard.json").read_text())
    assert data["boards"][0]["title"] == "gan/small, psi=0.5, space z, scenes, tier standard, K = 4"
    assert data["boards"][0]["rows"][0]["params"] == '{"psi": 0.5}'


# compare


def test_methods_of_a_folder_and_runs_are_compared(folder, gdbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    plugin = folder / "rec.py"
    plugin.write_text(REC)
    shown = gdbench("compare", "good", "poor", "--folder", folder, "--plugin", plugin)
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("rec.kappa")]
    assert line.split() == ["rec.kappa", ".810", ".507", ".303", ".265", "to", ".341", "a"]  # 4.303 sd / sqrt 3
    assert max(map(cell_len, shown.output.splitlines())) <= 80
    every = gdbench("compare", "good", "poor", "--folder", folder, "--plugin", plugin, "--all").output
    assert [line.split()[-1] for line in every.splitlines() if line.startswith("rec.other")] == ["neither"]
    data = json.loads(gdbench("compare", folder / "good-0", folder / "poor-0", "--plugin", plugin, "--json").stdout)
    (kappa,) = [one for one in data[0]["columns"] if one["name"] == "kappa"]
    assert (kappa["a"], kappa["b"], kappa["low"]) == (0.8, 0.5, None)
    assert [(one["name"], one["a"], one["b"]) for one in data[0]["factors"]] == [("hue", 0.7, 0.1)]


REC = """
from gdbench import Column, MetricSpec, hookimpl

@hookimpl
def gdbench_metrics():
    yield MetricSpec("rec", "", "rec:measure", (
        Column("kappa", "", ranked=True, brief=True), Column("leak", ""), Column("other", "", "neither")
    ))
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("good", "por"), "did you mean 'poor'"),
        (("good", "poor", "--folder", "nowhere"), "no run folder, and nowhere holds no run"),
    ],
)
def test_what_is_not_there_is_told(folder, gdbench, words, said):
    options = () if "--folder" in words else ("--folder", folder)
    result = gdbench("compare", *words, *options)
    assert result.exit_code != 0
    assert said in str(result.exception)
