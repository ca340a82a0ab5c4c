"""What plugins print: stdout is for results alone, and no control code of theirs reaches a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from gdbench.chatter import Chatter, apart, escaped

NOISY = """
    import os, subprocess, sys
    from gdbench import Column, LinearDirections, MethodSpec, MetricSpec, Scores, hookimpl, normal

    EVIL = "\\x1b]52;c;ZXZpbA==\\x07\\x1b[2Jcleared"
    print("at import", EVIL)


    def discover(generator, params, context):
        print("in discover", EVIL)
        print("to stderr", EVIL, file=sys.stderr)
        with context.reporter.task("discover", 2) as task:
            print("in a task", EVIL)
            task.advance(2)
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        os.write(1, b"to the descriptor\\n")
        return LinearDirections(normal(context.stream("discover").at(), context.k, 64), context.space)


    def measure(subject, params, context):
        print("in measure", EVIL)
        return Scores({"a": 1.0})




    @hookimpl
    def gdbench_methods():
        print("in a hook", EVIL)
        yield MethodSpec("noisy", "prints", discover)


    @hookimpl
    def gdbench_metrics():
        yield MetricSpec("noisy", "prints", measure, (Column("a", ""),))


    @hookimpl
    def gdbench_run_finished(record, folder):
        print("at the end", EVIL)
"""


def command(folder: Path) -> list[str]:
    (folder / "noisy.py").write_text(textwrap.dedent(NOISY))
    flags = "--gan toy --method noisy --metrics noisy --k 4 --tier smoke --plugin noisy.py --json"
    return [sys.executable, "-m", "gdbench", "run", *flags.split()]


def test_run_json_is_one_document_whatever_a_plugin_prints(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path), capture_output=True, cwd=tmp_path, check=False, timeout=300)
    assert json.loads(done.stdout)["status"] == "done", done.stderr
    assert b"\x1b" not in done.stderr
    assert b"\x07" not in done.stderr
    for said in (b"at import", b"in a hook", b"in discover", b"to stderr", b"in a task", b"in measure", b"at the end"):
        assert said in done.stderr
    for said in (b"from a child", b"to the descriptor"):
        assert said in done.stderr


def test_no_control_code_of_a_plugin_reaches_a_terminal(tmp_path: Path) -> None:
    """On a terminal a live display draws with control codes of its own; the plugin's are not among them."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command(tmp_path), stdout=subprocess.DEVNULL, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    assert child.wait(300) == 0
    assert b"cleared" in seen
    assert b"\x1b]52" not in seen
    assert b"\x07" not in seen
    assert b"\x1b[2J" not in seen


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["one\n"], ["one"]),
        (["one", " line\ntwo"], ["one line", "two"]),
        (["10 %\r", "90 %\r", "100 %\n"], ["100 %"]),
        (["windows\r\n"], ["windows"]),
        (["\x1b[31mred\x1b[0m\n"], ["\\x1b[31mred\\x1b[0m"]),
        (["abc\u202edef\n"], ["abc\\u202edef"]),
        (["a\tb\n"], ["a\tb"]),
    ],
)
def test_lines_are_shown_whole_and_escaped(written: list[str], shown: list[str]) -> None:
    lines: list[str] = []
    chatter = Chatter(lines.append)
    for text in written:
        assert chatter.write(text) == len(text)
    chatter.finish()
    assert lines == shown


def test_printing_is_as_before_after_the_block_even_where_it_raised(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(ZeroDivisionError), apart(lambda line: None):
        print("hidden", 1 / 0)
    print("shown")
    os.write(1, b"shown too\n")
    assert capfd.readouterr() == ("shown\nshown too\n", "")


def test_plain_text_is_not_changed() -> None:
    assert escaped("straße, 図, 1.5 ± 0.2") == "straße, 図, 1.5 ± 0.2"
