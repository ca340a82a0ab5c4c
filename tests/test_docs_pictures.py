"""The picture on the page of each method: it exists, and the runs that it was drawn from are committed."""

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
LARGEST = 150_000


def blocks(page: Path) -> dict[str, str]:
    return dict(BLOCK.findall(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_its_picture_and_names_its_runs_or_says_that_there_is_none(page: Path) -> None:
    assert blocks(page), "run: python docs/method_pictures.py"
    for name, text in blocks(page).items():
        if "no picture" in text:
            continue
        (picture,) = re.findall(r"\]\((\S+\.png)\)", text)
        assert (page.parent / picture).stat().st_size < LARGEST
        ids = re.findall(rf"`(\S+-{name}-s0-[0-9a-f]{{8}})`", text)
        assert ids
        seconds = []
        for run in ids:
            record = json.loads((ROOT / "results" / "scenes-quick" / run / "record.json").read_text())
            assert (record["cell"]["method"], record["status"]) == (name, "done")
            seconds.append(f"{record['costs']['discover']['cpu_seconds']:.3g}")
        assert f"Discovery took {' and '.join(seconds)} CPU seconds" in text


def test_every_method_has_a_page() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "gdbench", "list", "methods", "--json"], capture_output=True, text=True, check=True
    ).stdout
    names = {row["name"] for row in json.loads(listed)["methods"] if row["from"].startswith("gdbench ")}
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
    calibration = Calibration.load(ROOT / "results" / "scenes-quick" / run)
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
