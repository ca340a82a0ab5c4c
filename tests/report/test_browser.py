"""The pages in a real browser: they load from disk, their script filters, and no script of strangers runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gdbench.report.making import write
from gdbench.report.pages import pages
from tests.report.synthetic import board_of, hostile, made_in

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
EVIL = """"><img src=x onerror="document.title='ran'"></script><script>document.title='ran'</script>"""


def opened(address: str, profile: Path) -> str:
    """The document after its scripts ran; no console message may come, and no host can be reached."""
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=1000", f"--user-data-dir={profile}"),
        *("--dump-dom", address),
    ]
    quiet = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=quiet, check=False)
    assert done.stdout.startswith("<!DOCTYPE html>"), done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, done.stderr[-2000:]
    return done.stdout


def test_filters_in_the_address_filter_and_a_stranger_s_script_does_not_run(tmp_path: Path) -> None:
    runs = made_in(tmp_path / "runs")
    strange = [hostile(one, EVIL) for one in runs]
    write(pages(board_of(runs), runs, [], {}), tmp_path / "plain")
    write(pages(board_of(strange, EVIL), strange, [EVIL], {}), tmp_path / "strange")
    address = (tmp_path / "plain" / "index.html").as_uri()
    shown = opened(f"{address}#k=4&role=control", tmp_path / "profile")
    assert "1 of 8 rows shown" in shown
    rows = re.findall(r'<tr class="[a-z]*" data-role="(\w+)"( hidden="")?>', shown)
    assert sorted(rows)[0] == ("control", "")
    assert [role for role, hidden in rows if not hidden] == ["control"]
    found = opened((tmp_path / "strange" / "index.html").as_uri(), tmp_path / "profile")
    assert "<title>gdbench report</title>" in found
    assert "document.title='ran'" in found
