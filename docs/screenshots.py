"""Pictures of the report for docs/report.md: ``python docs/screenshots.py [FOLDER]`` (FOLDER: a report; built if none).

Needs chromium. Prints the size of each page and how long it takes to load.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # the driver of the browser lies with the tests

from PIL import Image  # noqa: E402

from gdbench.files import atomic_write  # noqa: E402
from gdbench.registry import load_registry  # noqa: E402
from gdbench.report.making import report_of, write  # noqa: E402
from gdbench.runs.suite import read_suite  # noqa: E402
from tests.browser import Browser, Page, address, browser  # noqa: E402

SUITE, POOL = ROOT / "benchmarks" / "scenes-quick.yaml", ROOT / "results" / "runs"
SHOWN = "stylegan2-scenes32"
"""What the names of the page of a generator and of a run begin with, whose pictures are taken."""
WIDE, HIGH = 1180, 1180
SEEN = """[...document.images].every((one) => { const { top, bottom, left } = one.getBoundingClientRect();
  return one.complete || bottom < 0 || top > innerHeight || left > innerWidth; })"""
LOADED = "(() => { const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime; })()"


def main(folder: Path) -> None:
    """Take the pictures of the report in ``folder``."""
    index = folder / "index.html"
    generator = next(path for path in sorted(folder.glob("generator-*.html")) if SHOWN in path.name)
    with browser() as made:
        _take(made, index, "report-index.png")
        _take(made, index, "report-phone.png", width=375, high=900)
        _take(made, index, "report-dark.png", high=700, dark=True)
        page = _take(made, generator, "report-generator.png", at="document.querySelector('.gallery')")
        run = page.run(
            f"[...document.querySelectorAll('tr[data-role=method] .runs a')].map((one) => one.getAttribute('href'))"
            f".find((one) => one.startsWith('run-{SHOWN}'))"
        )
        _take(made, folder / run, "report-run.png")


def _take(
    made: Browser, path: Path, name: str, width: int = WIDE, high: int = HIGH, dark: bool = False, at: str = ""
) -> Page:
    page = made.open(address(path), width, high, dark)
    seconds = page.run(LOADED) / 1000
    if at:
        page.run(f"scrollTo(0, {at}.getBoundingClientRect().top + scrollY - 90)")
    page.until(SEEN)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    with atomic_write(DOCS / "pictures" / name) as file:
        picture.save(file, "PNG", optimize=True)
    print(f"{name}: {path.name}, {path.stat().st_size / 1e6:.2f} MB, loaded in {seconds:.2f} s")
    return page


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            write(report_of(POOL, load_registry(), read_suite(SUITE)).pages, Path(place))
            main(Path(place))
