"""What pages cost in a browser: size and load time of the report, first frame and frames per second of the explorer.

    python benchmarks/speed/pages.py     # writes results/speed/pages.md; needs chromium

The report is that of the main board. Each explorer shows planted directions of a shipped generator on four latents, and
two sliders that move without a pause. On a busy machine raise the priority of the shell first (Linux: ``echo -10 >
/proc/self/autogroup``); the page says how busy it was.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the driver of the browser lies with the tests

from gdbench.explorer.making import explorer_of  # noqa: E402
from gdbench.files import write_text  # noqa: E402
from gdbench.registry import Registry, load_registry  # noqa: E402
from gdbench.report.making import report_of, write  # noqa: E402
from gdbench.runs.api import load_generator  # noqa: E402
from gdbench.runs.environment import cpu_model  # noqa: E402
from gdbench.runs.suite import read_suite  # noqa: E402
from tests.browser import Browser, Page, address, browser  # noqa: E402
from tests.explorer.made import planted, write_run  # noqa: E402

TARGET = ROOT / "results" / "speed" / "pages.md"
SUITE, POOL = ROOT / "benchmarks" / "scenes-quick.yaml", ROOT / "results" / "runs"
LIMITS = {"index": 1.5, "generator": 3.0, "run": 2.0}
"""Megabytes at most (issue 15)."""
FAMILIES = (("sngan", "z"), ("stylegan2", "w"), ("stylegan2", "z"), ("biggan", "z"), ("progan", "z"))
LOADS, SECONDS = 5, 4.0
LOADED = "(() => { const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime; })()"
QUIET = "document.querySelector('canvas[data-drawn]') && !document.body.dataset.busy"
DRAG = """(async () => {
  const sliders = [0, 1].map((k) => document.querySelector(`.side [data-direction="${k}"] input`));
  const start = performance.now(), before = explorer.frames.count;
  while (performance.now() - start < %d) {
    const at = (performance.now() - start) / 1000;
    sliders.forEach((one, k) => { one.value = 0.5 * Math.sin((3 + k) * at); one.dispatchEvent(new Event("input", { bubbles: true })); });
    await new Promise(requestAnimationFrame);
  }
  return [explorer.frames.count - before, (performance.now() - start) / 1000];
})()"""  # noqa: E501


@dataclass(frozen=True)
class Loaded:
    """Pages of one kind. load: seconds until the load event of the largest, median and longest of several loads."""

    kind: str
    pages: int
    largest: float
    load: tuple[float, float]


@dataclass(frozen=True)
class Drawn:
    """An explorer. first: seconds from opening to the first frame, median and longest of several loads.

    wall: images a second by the clock. cpu: milliseconds of CPU an image, of all processes of the browser. others: how
    many cores other processes used meanwhile.
    """

    generator: str
    megabytes: float
    first: tuple[float, float]
    wall: float
    cpu: float
    others: float


class Busy:
    """Seconds of CPU of the whole machine and of the browser between two moments."""

    def __init__(self, made: Browser) -> None:
        self._browser, self._start = made, self._now(made)

    def since(self) -> tuple[float, float, float]:
        """Seconds by the clock, of the browser's processes, and of all others."""
        clock, browser_, machine = (b - a for a, b in zip(self._start, self._now(self._browser), strict=True))
        return clock, browser_, max(machine - browser_, 0.0)

    @staticmethod
    def _now(made: Browser) -> tuple[float, float, float]:
        own = sum(one["cpuTime"] for one in made.send("SystemInfo.getProcessInfo")["processInfo"])
        user, nice, system = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:4])
        return time.monotonic(), own, (user + nice + system) / os.sysconf("SC_CLK_TCK")


def times(made: Browser, path: Path, script: str, until: str = "true") -> tuple[float, float]:
    """Median and longest of what a script says of several loads, in seconds."""
    found = []
    for _ in range(LOADS):
        page = made.open(address(path), 1400)
        page.until(until, 60)
        found.append(page.run(script) / 1000)
        page.close()
    return statistics.median(found), max(found)


def report_pages(folder: Path) -> Iterator[Loaded]:
    """The kinds of pages of the report in ``folder``."""
    for kind in LIMITS:
        pages = sorted(folder.glob(f"{kind}*.html"), key=lambda path: path.stat().st_size)
        with browser() as made:
            load = times(made, pages[-1], LOADED)
        yield Loaded(kind, len(pages), pages[-1].stat().st_size / 1e6, load)


def explorers(folder: Path, registry: Registry) -> Iterator[Drawn]:
    """The explorer of each family."""
    for gan, space in FAMILIES:
        dim = load_generator(gan).dim(space)
        run = write_run(folder / f"{gan}-{space}", planted(dim, space), gan)
        path = folder / f"{gan}-{space}.html"
        write_text(path, explorer_of([run], registry).text)
        with browser() as made:
            first = times(made, path, "explorer.frames.first", QUIET)
            page = made.open(address(path) + "#c=4", 1400)
            page.until(QUIET, 60)
            yield _dragged(made, page, f"{gan}/scenes32 ({space})", path, first)


def _dragged(made: Browser, page: Page, name: str, path: Path, first: tuple[float, float]) -> Drawn:
    busy = Busy(made)
    images, seconds = page.run(DRAG % (1000 * SECONDS))
    clock, own, others = busy.since()
    return Drawn(name, path.stat().st_size / 1e6, first, images / seconds, 1000 * own / images, others / clock)


def table(head: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as Markdown: the first column is text, the others are numbers."""
    columns = head.split("; ")
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def text_of(loaded: Sequence[Loaded], drawn: Sequence[Drawn], priority: str) -> str:
    """Both tables as Markdown."""
    cores = os.cpu_count() or 2
    report = [
        [one.kind, f"{one.pages}", f"{one.largest:.2f}", f"{LIMITS[one.kind]:g}", *(f"{load:.2f}" for load in one.load)]
        for one in loaded
    ]
    explorer = [
        [
            one.generator,
            *(f"{value:.2f}" for value in (one.megabytes, *one.first)),
            f"{one.wall:.0f}",
            f"{one.cpu:.1f}",
            f"{one.others:.2f}",
        ]
        for one in drawn
    ]
    lines = [
        "# What pages cost in a browser",
        "",
        f"Made by `python benchmarks/speed/pages.py` in headless chromium on {cpu_model()}, {cores} cores, priority",
        f"{priority}. Times are the median and the longest of {LOADS} loads from disk, the first of them in a browser",
        "that has just started.",
        "",
        *table("page of the report; pages; largest, MB; limit, MB; load, s; longest, s", report),
        "",
        f"Explorers on four latents, two sliders moved in every frame of the screen for {SECONDS:g} s. A page draws in",
        f"up to four workers, one less than there are cores: here in {max(1, min(4, cores - 1))}. CPU is that of all",
        "processes of the browser. *Others* is how many cores other processes used in these seconds.",
        "",
        *table("explorer; MB; first frame, s; longest, s; images a second; CPU ms an image; others, cores", explorer),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    registry = load_registry()
    group = Path("/proc/self/autogroup")
    priority = group.read_text().split(maxsplit=1)[1].strip() if group.is_file() else "as it was"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(report_of(POOL, registry, read_suite(SUITE)).pages, folder / "report")
        text = text_of(list(report_pages(folder / "report")), list(explorers(folder, registry)), priority)
    write_text(TARGET, text)
    print(text)


if __name__ == "__main__":
    main()
