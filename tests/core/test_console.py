"""What reaches a terminal: of a stranger's making only plain text; progress in both forms; JSON alone on stdout."""

import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from gdbench import Checkpoint, Column, DomainSpec, GeneratorSpec, MethodSpec, MetricSpec, UsageError, progress
from gdbench import console as shown
from gdbench.cli import views
from gdbench.record import Cell, Cost, RunRecord, Score
from gdbench.registry import Broken, Offer, Plugin, Provider, Registry

NASTY = [
    "[/foo]", "[link=http://x]y[/link]", "[bold red]x", "a\x1b[2Jb", "a\x9b31mb", "a\rb", "a\nb", "\u202egnp.exe",
    ":smile:", "<img src=x onerror=alert(1)>", "x" * 10_000, "", "\ud800", "\\[x]", "a\x00b", "\u2028",
]  # fmt: skip


def screen(width=400, terminal=False):
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, markup=False, emoji=False)


def printed(*things, **options):
    to = screen(**options)
    for thing in things:
        to.print(thing)
    return to.file.getvalue()


def record(text="x"):
    cell = Cell(generator=text, checkpoint=text, method=text, seed=1, k=4, space="z", tier="quick")
    scores = {"m": {text or "c": Score(0.123456), "low": Score(None, text or "because")}}
    return RunRecord(
        id=text,
        cell=cell,
        status="done",
        reason=text,
        scores=scores,
        costs={text: Cost(5, 2, 1.5, 2.5, 2**21)},
    )


def tables(text):
    return [
        views.score_table(record(text), {"m": (Column("low", "", "lower", text),)}),
        views.cost_table(record(text)),
        shown.table_of(text, [{text: text, "value": [text, 1], "yes": True}]),
    ]


@pytest.mark.parametrize("text", NASTY)
def test_strangers_text_is_text(text):
    output = printed(*tables(text)).encode("utf-8").decode()
    assert not [c for c in output if not c.isprintable() and c != "\n"]
    if text.startswith("["):
        assert text in output


def registry(text="text"):
    """A registry whose offers carry ``text`` wherever text is free."""
    provider = Provider("plug", text, text)
    card = Checkpoint("small", "toys", "file", licence=text, card={text: [1, text]})
    return Registry(
        generators={"g": Offer(GeneratorSpec("g", text, "a:b", checkpoints=(card,), provides=("mapping",)), provider)},
        methods={
            "m": Offer(MethodSpec("m", text, "a:b", citation=text, tiers={"quick": {"steps": (1, 2)}}), provider),
            "other": Offer(MethodSpec("other", text, "a:b"), provider),
        },
        metrics={"score": Offer(MetricSpec("score", text, "a:b", (Column("low", text, "lower", text),)), provider)},
        domains={"toys": Offer(DomainSpec("toys", text, "a:b"), provider)},
        plugins=(Plugin(provider, text, (text,)),),
        broken=(Broken("bad", text, text, text),),
        packages=frozenset(),
    )


def everything(text, folder, as_json=False):
    """Show all there is to show."""
    offers = registry(text)
    views.show_run(replace(record(text), scores={"score": {"low": Score(None, text or "x")}}), folder, offers, as_json)
    for noun in ("all", "generators", "checkpoints", "methods", "metrics", "domains", "plugins"):
        views.show_list(noun, offers, folder, as_json)
    for name in ("g", "m", "score", "toys"):
        views.show_info(name, offers, as_json)
    views.show_doctor({"cpu": text, "cuda": None, "devices": []}, [text], as_json)
    views.show_checks(text, [Broken(text, text, text, text)], text, as_json)


@pytest.mark.parametrize("text", NASTY)
def test_every_view_shows_strangers_text_as_text(text, tmp_path, capsys):
    everything(text, tmp_path)
    output = capsys.readouterr().out
    assert not [c for c in output if not c.isprintable() and c != "\n"]
    if text.startswith("["):
        assert text in output


@pytest.mark.parametrize("text", NASTY)
def test_every_view_gives_json_and_nothing_else(text, tmp_path, capsys):
    everything(text, tmp_path, as_json=True)
    output = capsys.readouterr().out
    assert output.isascii()
    decoder, position, values = json.JSONDecoder(), 0, []
    while position < len(output):
        value, position = decoder.raw_decode(output, position)
        position += 1
        values.append(value)
    assert len(values) == 14
    assert values[0]["folder"] == str(tmp_path)


def test_a_run_names_pictures_and_next_commands(tmp_path, capsys):
    folder = tmp_path / "with space" / "run"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "directions.png").touch()
    views.show_run(replace(record("m"), checkpoint_status="preview", checkpoint_lacks="plus"), folder, registry())
    output = capsys.readouterr().out
    assert f"picture:  {folder / 'pictures' / 'directions.png'}" in output
    assert f"gdbench measure '{folder}' --metric all" in output
    assert "gdbench run --gan m --method other" in output
    assert "status:   done m\n" in output
    assert "not converged" not in output  # every tier with a cap ranks
    assert "preview" in output
    assert " lacks plus\n" in output


def test_unknown_names_get_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'score'"):
        views.show_info("scor", registry())


@settings(deadline=None)
@given(st.text())
def test_clean_is_one_printable_line_and_done_once(text):
    line = shown.clean(text)
    assert line.isprintable()
    assert shown.clean(line) == " ".join(line.split())


def test_score_table_says_what_void_means_and_what_is_better():
    columns = {"m": (Column("kappa", "", "higher", "bit"), Column("low", "", "lower"))}
    scores = {"m": {"kappa": Score(0.123456), "low": Score(None, "no factors")}, "other": {"x": Score(1.0)}}
    output = printed(views.score_table(RunRecord("id", record().cell, "done", scores=scores), columns))
    row = next(line for line in output.splitlines() if "kappa" in line)
    assert "0.1235" in row
    assert "bit" in row
    assert "higher is better" in row
    assert "void: no factors" in output
    assert "lower is better" in output


def test_fail_is_one_line_on_stderr_and_gives_the_exit_code(capsys):
    assert shown.fail(UsageError("no [bold]such\nthing\x1b[31m " + "x" * 300)) == 2
    assert shown.fail(ValueError("odd")) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["gdbench: no [bold]such thing[31m " + "x" * 300, "gdbench: ValueError: odd"]


def test_json_alone_is_on_stdout(capsys):
    data = {"a": [1, None, "ä\x9b\u202e</script>"]}
    shown.print_json(data)
    out = capsys.readouterr().out
    assert json.loads(out) == data
    assert out.isascii()
    with pytest.raises(ValueError):
        shown.print_json(float("nan"))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def run_plain(seconds, steps, total, done=0):
    """The lines of a task of which each step takes ``seconds``."""
    clock, to = Clock(), screen()
    reporter = progress.PlainReporter(to, clock)
    with reporter.task("discover [x]", total, done) as task:
        for _ in range(steps):
            clock.now += seconds
            task.advance(1, loss=1 / 3, accuracy=0.5)
    return to.file.getvalue().splitlines()


def test_plain_lines_every_five_seconds_or_tenth():
    lines = run_plain(1.0, 100, 100)
    assert len(lines) == 20
    assert lines[0] == "discover [x] 5/100 (5%), 1/s, 1 min 35 s left, loss 0.3333, accuracy 0.5"
    assert lines[-1] == "discover [x] 100/100 (100%), 1 min 40 s, loss 0.3333, accuracy 0.5"
    assert len(run_plain(0.2, 100, 100)) == 10
    assert run_plain(0.001, 100, 100) == []


def test_slow_steps_are_shown_in_seconds_each():
    assert run_plain(50.0, 2, 6)[0].startswith("discover [x] 1/6 (17%), 50 s each, 4 min 10 s left")


def test_plain_speed_of_a_resumed_task_counts_only_new_steps():
    assert run_plain(1.0, 5, 100, done=50) == [
        "discover [x] 55/100 (55%), 1/s, 45.0 s left, loss 0.3333, accuracy 0.5",
        "discover [x] 55 (100 were expected), 5.0 s, loss 0.3333, accuracy 0.5",
    ]


def test_a_search_that_takes_more_steps_than_expected_goes_on_showing_how_many_and_no_share():
    lines = run_plain(1.0, 30, 20)
    assert lines[8] == "discover [x] 18/20 (90%), 1/s, 2.0 s left, loss 0.3333, accuracy 0.5"
    assert lines[9] == "discover [x] 21 (20 were expected), 21.0 s, loss 0.3333, accuracy 0.5"
    assert lines[-1] == "discover [x] 30 (20 were expected), 30.0 s, loss 0.3333, accuracy 0.5"
    assert len(lines) == 15


def test_live_display_shows_running_tasks_and_leaves_nothing_of_short_ones():
    to = screen(terminal=True)
    reporter = progress.LiveReporter(to)
    with reporter.task("outer [red]", 10) as task:
        task.advance(5, loss=2.0)
        with reporter.task("inner", 4, done=1) as inner:
            inner.advance(3)
            reporter.log("a line [/x]")
    assert "outer [red]" in to.file.getvalue()
    assert "5/10 (50%)" in to.file.getvalue()
    assert "a line [/x]" in to.file.getvalue()
    assert reporter._progress.tasks == []
    assert not reporter._progress.live.is_started


def test_live_display_is_stopped_when_the_task_raises():
    reporter = progress.LiveReporter(screen(terminal=True))
    with pytest.raises(KeyError), reporter.task("t", 1):
        raise KeyError
    assert not reporter._progress.live.is_started


def test_reporter_is_plain_off_a_terminal_and_silent_when_asked(capsys):
    assert isinstance(progress.reporter(), progress.PlainReporter)
    progress.reporter().log("hello")
    with progress.reporter(quiet=True).task("t", 3) as task:
        task.advance(3)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (8.21, "8.2 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (59.99, "60.0 s")],
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


def test_importing_costs_nothing():
    code = "import sys, gdbench.console; print([m for m in ('rich', 'torch', 'numpy', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_ascii_terminal_gets_replacements_instead_of_an_error():
    code = "from gdbench.console import console, table, say; console().print(table('ä', ['→'], [['é']])); say('ü')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("133", 133), ("", shown.WIDE), ("wide", shown.WIDE)])
def test_columns_is_obeyed_where_there_is_no_terminal(monkeypatch, capsys, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert shown.console().width == width
