"""Write the table of spaces in docs/bring-your-own-gan.md from the runs of spaces-quick: ``python docs/spaces.py``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from gdbench.boards.statistics import Sample, interval, mean_of, pooled
from gdbench.files import write_text
from gdbench.record import RunRecord
from gdbench.registry import load_registry
from gdbench.runs.pool import suite_runs
from gdbench.runs.suite import read_suite

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "benchmarks" / "spaces-quick.yaml"
POOL = ROOT / "results" / "runs"
PAGE = ROOT / "docs" / "bring-your-own-gan.md"
BLOCK = re.compile(r"(<!-- spaces: written by docs/spaces.py -->\n).*?(<!-- end of spaces -->)", re.DOTALL)
SPACES = ("w", "w+", "s")
NUMBERS = {
    "recall": ("recovery", "recall", 3),
    "precision": ("recovery", "precision", 3),
    "F1": ("recovery", "F1", 3),
    "purity": ("recovery", "purity", 3),
    "found": ("recovery", "found", 1),
    "alive": ("calibration", "alive_share", 2),
}
"""Head -> metric, column and how many places after the point."""


def read(pool: Path = POOL) -> dict[tuple[str, str], list[RunRecord]]:
    """(method, space) -> the runs that have scores, in order of seed."""
    registry, suite = load_registry(), read_suite(SUITE)
    found: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(suite_runs(suite, registry, pool).records, key=lambda record: record.cell.seed):
        if numbers([record], "recovery", "F1"):
            found.setdefault((record.cell.method, record.cell.space), []).append(record)
    return found


def numbers(runs: Sequence[RunRecord], metric: str, column: str) -> list[float]:
    """The numbers of a column, one for each run that has one."""
    scores = (run.scores.get(metric, {}).get(column) for run in runs)
    return [score.value for score in scores if score is not None and score.value is not None]


def table(found: Mapping[tuple[str, str], Sequence[RunRecord]]) -> str:
    """Means over seeds; the interval of F1 is Student's, of the variance between seeds that all rows share."""
    spread = pooled([numbers(runs, "recovery", "F1") for runs in found.values()])
    lines = [f"| directions | space | seeds | {' | '.join(NUMBERS)} |", "| --- " * (len(NUMBERS) + 3) + "|"]
    for method, space in sorted(found, key=lambda key: (key[0], SPACES.index(key[1]))):
        runs = found[method, space]
        cells = []
        for head, (metric, column, digits) in NUMBERS.items():
            own = numbers(runs, metric, column)
            text = f"{mean_of(own):.{digits}f}" if own else "void"
            if head == "F1":
                made = interval(Sample(mean_of(own), len(own), spread), (0.0, 1.0))
                half = math.nan if made.high is None else made.high - made.mean
                text += f" ± {half:.3f}"
            cells.append(text)
        lines.append(f"| {method} | {space} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table between its marks."""
    made = table(read())
    write_text(PAGE, BLOCK.sub(lambda found: f"{found[1]}{made}\n{found[2]}", PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
