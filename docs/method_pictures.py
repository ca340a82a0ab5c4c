"""What each method finds on scenes: a picture and a sentence of its runs. ``python docs/method_pictures.py``.

Nothing is rendered: strips and tables come from the runs that the main board is made of, seed 0 of each method. The
page of the method shows the picture and names its runs, and says in a line what they find, each between two marks.
Where a run is not there yet, the page stays as it is.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from gdbench import MethodSpec
    from gdbench.runs.api import Run

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
SUITE = DOCS.parent / "benchmarks" / "scenes-quick.yaml"
PICTURES = DOCS / "pictures" / "methods"
PLACES = (("sngan", "scenes32", "z"), ("stylegan2", "scenes32", "w"))
"""Generator, checkpoint and space of the two pictures on a page."""
ROWS, COLOURS, NAMED = 6, 192, 6
FOUND = 0.3
"""A factor whose best share is above this is found, as in the column ``found`` of recovery."""
START, END = "<!-- {}: written by docs/method_pictures.py -->", "<!-- end of {} -->"
FINDS = re.compile(r"<!-- (\S+) finds -->.*?<!-- end -->", re.DOTALL)


def page_of(spec: MethodSpec) -> Path:
    """The page of a method; the controls share one."""
    return DOCS / "methods" / f"{'controls' if spec.role == 'control' else spec.name}.md"


def methods() -> dict[str, MethodSpec]:
    """The methods that have a page."""
    from gdbench.registry import load_registry

    specs = {name: offer.spec for name, offer in load_registry().methods.items()}
    return {name: spec for name, spec in specs.items() if page_of(spec).exists()}


def measured(pool: Path) -> dict[str, list[Run]]:
    """Method -> its runs of seed 0 on PLACES that the suite asks for and that are measured, in that order."""
    import gdbench
    from gdbench.registry import load_registry
    from gdbench.runs.pool import suite_runs
    from gdbench.runs.suite import read_suite

    found: dict[str, list[Run]] = {}
    records = suite_runs(read_suite(SUITE), load_registry(), pool).records
    for place in PLACES:
        for record in records:
            cell = record.cell
            there = (cell.generator, cell.checkpoint, cell.space, cell.seed) == (*place, 0)
            if there and record.status == "done" and "recovery" in record.scores:
                found.setdefault(cell.method, []).append(gdbench.read_run(pool / record.id))
    return found


def moves(run: Run) -> pd.DataFrame:
    """A row for each direction: what + does ("" for nothing known), the factor that it leads, and its share."""
    import pandas as pd

    table = run.per_direction
    if "recovery" not in table or "plus" not in table["recovery"]:
        return pd.DataFrame({"plus": [""] * len(table), "leading": -1, "share": 0.0})
    return table["recovery"][["plus", "leading", "share"]]


def telling(found: pd.DataFrame) -> list[int]:
    """ROWS directions: the purest for each factor first, then the purest of the others, then those of no factor."""
    ordered = found.sort_values("share", ascending=False, kind="stable")
    repeated = ordered["leading"].duplicated() | (ordered["leading"] < 0)
    return [*ordered.index[~repeated], *ordered.index[repeated]][:ROWS]


def draw(run: Run) -> Image:
    """Rows of images of the most telling directions of a run, cut from its strips."""
    from gdbench.evaluation import pictures

    found = moves(run)
    strips = [pictures.strip(run.folder / "strips.webp", k, _lines(k, found)) for k in telling(found)]
    return pictures.compose(strips, run.record.id)


def _lines(k: int, found: pd.DataFrame) -> list[str]:
    """What stands beside a strip: its number, and where it moves a known factor what + does and how purely."""
    plus, share = str(found.loc[k, "plus"]), float(found.at[k, "share"])
    return [str(k), *textwrap.wrap(plus, 17)[:2], f"{share:.2f}"] if plus else [str(k)]


def stacked(images: Sequence[Image]) -> Image:
    """The images below one another, in few colours."""
    from PIL import Image

    size = max(image.width for image in images), sum(image.height for image in images)
    canvas = Image.new("RGB", size, (255, 255, 255))
    y = 0
    for image in images:
        canvas.paste(image, (0, y))
        y += image.height
    return canvas.quantize(COLOURS, dither=Image.Dither.NONE)


def section(name: str, runs: Sequence[Run]) -> str:
    """What stands between the marks of a method."""
    drawn = " and ".join(f"`{run.record.id}`" for run in runs)
    seconds = " and ".join(f"{run.record.costs['discover'].cpu_seconds:.3g}" for run in runs)
    return f"""![{name}: six directions for each generator, -t to +t on two latents](../pictures/methods/{name}.png)

*`{name}`, drawn from {drawn} in `results/runs`, -t to +t at a visible change of 0.30.
Six directions, chosen, not typical: for each factor the purest one, then the purest of the others.
Beside each stands what + does, and its share. Discovery took {seconds} CPU seconds, on a busy machine.*"""


def finds(runs: Sequence[Run]) -> str:
    """What the runs find, in a line: how many factors, and the purest direction of each."""
    return "; ".join(map(_found, runs)) + f" (seed 0; shares, found above {FOUND})."


def _found(run: Run) -> str:
    cell, scores = run.record.cell, run.record.scores["recovery"]
    if (none := scores["found"].value) is None:
        return f"{cell.generator}: void, {scores['found'].void}"
    table = moves(run)
    purest = table.loc[telling(table)].drop_duplicates("leading").query("share > @FOUND", local_dict={"FOUND": FOUND})
    names = ", ".join(f"{row.plus} {row.share:.2f}" for row in purest.head(NAMED).itertuples())
    count = f"{cell.generator}: {none:.0f} of {scores['counted'].value:.0f} factors"
    return f"{count} ({names})" if names else count


def written(page: str, name: str, runs: Sequence[Run]) -> str:
    """The page with the picture and the sentence of a method between its marks. Raises ValueError without marks."""
    start, end = START.format(name), END.format(name)
    block = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if not block.search(page):
        raise ValueError(f"no marks of {name}: {start} ... {end}")
    page = block.sub(lambda _: f"{start}\n\n{section(name, runs)}\n\n{end}", page)
    line = f"<!-- {name} finds -->{finds(runs)}<!-- end -->"
    return FINDS.sub(lambda found: line if found[1] == name else found[0], page)


def main(names: Sequence[str], pool: Path) -> None:
    """Draw the pictures of the methods ``names``, or of all, and write them into their pages."""
    from gdbench.evaluation import pictures

    PICTURES.mkdir(parents=True, exist_ok=True)
    runs: Mapping[str, list[Run]] = measured(pool)
    for name, spec in methods().items():
        if names and name not in names:
            continue
        if name not in runs:
            print(f"{name}: left as it is, no measured run of {SUITE.stem} in {pool.name}")
            continue
        path, page = PICTURES / f"{name}.png", page_of(spec)
        pictures.save(stacked([draw(run) for run in runs[name]]), path)
        page.write_text(written(page.read_text(encoding="utf-8"), name, runs[name]), encoding="utf-8")
        print(f"{name}: {path.stat().st_size:,} bytes, from {', '.join(run.record.id for run in runs[name])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("methods", nargs="*", help="all where none is named")
    parser.add_argument("--runs", type=Path, default=RESULTS / "runs", help="the pool")
    given = parser.parse_args()
    sys.exit(main(given.methods, given.runs))
