"""How the page of each method opens: with a picture and a sentence of committed runs, and five lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gdbench import Calibration

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "methods").glob("*.md"))
BLOCK = re.compile(r"<!-- (\S+): written by docs/method_pictures.py -->(.*?)<!-- end of \1 -->", re.DOTALL)
POOL = ROOT / "results" / "runs"
LINES = ("Idea", "Formula", "Finds here", "Use it when", "Official code")
EARLIER = "a run of protocol 1"
"""What a caption says where the pool has no measured run of a method yet."""
LARGEST = 150_000


def blocks(page: Path) -> dict[str, str]:
    return dict(BLOCK.findall(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_opens_with_a_picture_of_committed_runs_and_five_lines(page: Path) -> None:
    text = page.read_text()
    lines = "".join(rf"- \*\*{line}[^\n]+\n" for line in LINES)
    assert re.match(rf"# [^\n]+\n\n{BLOCK.pattern}\n\n{lines}", text, re.DOTALL)
    for name, block in blocks(page).items():
        (picture,) = re.findall(r"\]\((\S+\.png)\)", block)
        assert (page.parent / picture).stat().st_size < LARGEST
        if EARLIER in block:
            continue
        ids = re.findall(rf"`(\S+-{name}-s0-[0-9a-f]{{8}})`", block)
        assert ids
        seconds = []
        for run in ids:
            record = json.loads((POOL / run / "record.json").read_text())
            assert (record["cell"]["method"], record["status"]) == (name, "done")
            seconds.append(f"{record['costs']['discover']['cpu_seconds']:.3g}")
        assert f"Discovery took {' and '.join(seconds)} CPU seconds" in block


def test_pages_say_what_the_runs_of_the_pool_find() -> None:
    """A method with a measured run on the main board has its picture and sentence; others say what they show."""
    call = f"""import sys; sys.path.insert(0, {str(ROOT / "docs")!r})
import method_pictures as made
runs = made.measured(made.RESULTS / "runs")
stale = [name for name, spec in made.methods().items() if name in runs
         and made.written(made.page_of(spec).read_text(), name, runs[name]) != made.page_of(spec).read_text()]
print(" ".join(stale)); print(" ".join(runs))"""
    made = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True).stdout
    stale, measured = (line.split() for line in made.splitlines())
    assert not stale, "run: python docs/method_pictures.py"
    shown = {name for page in PAGES for name, block in blocks(page).items() if EARLIER not in block}
    assert shown == set(measured)


def test_every_method_has_a_page() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "gdbench", "list", "methods", "--json"], capture_output=True, text=True, check=True
    ).stdout
    names = {row["name"] for row in json.loads(listed)["methods"] if row["from"].startswith("gdbench ")}
    names -= {"imported"}  # directions that somebody has already: no method
    assert names == {name for page in PAGES for name in blocks(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_differs_and_what_a_run_costs(page: Path) -> None:
    text = page.read_text().lower()
    assert "## what differs from the " in text
    assert re.search(r"## cost|\*\*cost\*\*", text)
    assert "`smoke`" in text


def test_the_picture_of_calibration_shows_what_its_caption_says() -> None:
    made = (ROOT / "docs" / "protocol_pictures.py").read_text()
    (run,) = re.findall(r'^RUN = "(.+)"$', made, re.MULTILINE)
    strong, weak, dead = map(int, re.findall(r"^STRONG, WEAK, DEAD = (\d+), (\d+), (\d+)$", made, re.MULTILINE)[0])
    calibration = Calibration.load(POOL / run)
    first, last = calibration.magnitude()[[strong, weak], 0].tolist()
    text = (ROOT / "docs" / "protocol.md").read_text()
    assert f"magnitudes from {first:.1f} to {last:.1f}; direction {dead} is dead" in text
    assert calibration.dead[:, 0].nonzero()[0].item() == dead
    assert (ROOT / "docs" / "pictures" / "calibration.png").stat().st_size < LARGEST


def test_the_table_of_the_ablation_is_that_of_its_leaderboard() -> None:
    call = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); import ablation; sys.stdout.write(ablation.table())"
    )
    made = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True).stdout
    assert made in (ROOT / "docs" / "ablation.md").read_text(), "run: python docs/ablation.py"
    assert (ROOT / "docs" / "pictures" / "ablation.png").stat().st_size < LARGEST
