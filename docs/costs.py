"""Write docs/costs.md, how long a grid takes, from the costs in committed records: ``python docs/costs.py``."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gdbench.params import as_plain, build
from gdbench.record import RunRecord
from gdbench.registry import load_registry
from gdbench.runs.planning import plan_all
from gdbench.runs.store import find_runs
from gdbench.runs.suite import Suite, read_suite

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "costs.md"
POOL = ROOT / "results" / "runs"
WORKERS = (1, 8, 64)
BUDGET = 10
"""How many times as many images discovery may render at standard as at quick (PROTOCOL, tiers)."""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU, medians of committed records, all on one thread of one processor.

    discovery: (method, checkpoint, tier) -> seconds. evaluation: checkpoint -> seconds, "" of all.
    """

    discovery: dict[tuple[str, str, str], float]
    evaluation: dict[str, float]

    def of(self, method: str, checkpoint: str, tier: str) -> tuple[float, bool]:
        """Seconds of a cell, and whether its discovery was measured on this checkpoint and tier."""
        evaluation = self.evaluation.get(checkpoint, self.evaluation[""])
        if (own := self.discovery.get((method, checkpoint, tier))) is not None:
            return own + evaluation, True
        others = [value for (name, _, t), value in self.discovery.items() if (name, t) == (method, tier)]
        if others:
            return statistics.median(others) + evaluation, False
        if tier == "standard":
            quick, _ = self.of(method, checkpoint, "quick")
            return BUDGET * (quick - evaluation) + evaluation, False
        raise SystemExit(f"{method}: no committed run says what it costs")


def usual(records: Iterable[RunRecord]) -> Iterator[RunRecord]:
    """The records with the costs of what a tier does by itself: its own parameters, the default metrics."""
    registry = load_registry()
    stages = {"calibrate", *(f"measure:{name}" for name, offer in registry.metrics.items() if offer.spec.default)}
    for record in records:
        cell, spec = record.cell, registry.method(record.cell.method).spec
        own = as_plain(build(spec.params, spec.tiers.get(cell.tier, {}), where=cell.method))
        kept = stages | ({"discover"} if cell.method_params == own else set())
        yield replace(record, costs={stage: cost for stage, cost in record.costs.items() if stage in kept})


def costs_of(records: Iterable[RunRecord]) -> Costs:
    """The costs in finished records."""
    found: dict[tuple[str, str, str], list[float]] = {}
    evaluation: dict[str, list[float]] = {"": []}
    for record in records:
        cell = record.cell
        place = f"{cell.generator}/{cell.checkpoint}"
        if "discover" in record.costs:
            found.setdefault((cell.method, place, cell.tier), []).append(record.costs["discover"].cpu_seconds)
        if record.scores and cell.k == 32:
            seconds = sum(cost.cpu_seconds for stage, cost in record.costs.items() if stage != "discover")
            evaluation.setdefault(place, []).append(seconds)
            evaluation[""].append(seconds)
    return Costs(
        {key: statistics.median(values) for key, values in found.items()},
        {place: statistics.median(values) for place, values in evaluation.items()},
    )


def makespan(cells: Sequence[float], workers: int) -> float:
    """Seconds until all cells are done, where each free worker takes the longest that is left."""
    busy = [0.0] * workers
    for seconds in sorted(cells, reverse=True):
        heapq.heapreplace(busy, busy[0] + seconds)
    return max(busy)


def cells_of(suite: Suite, costs: Costs) -> list[tuple[float, bool]]:
    """Seconds of each cell of a suite that can meet, and whether its discovery was measured."""
    cells = [made.cell for made in plan_all(suite.requests, load_registry()) if not made.incompatible]
    return [costs.of(cell.method, f"{cell.generator}/{cell.checkpoint}", cell.tier) for cell in cells]


def words(seconds: float) -> str:
    """A duration as people say it."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def page() -> str:
    """The text of the page."""
    records = [record for folder in find_runs(POOL) if (record := folder.read()).status == "done"]
    costs = costs_of(usual(records))
    rows = []
    for name in ("scenes-quick", "scenes-standard"):
        cells = cells_of(read_suite(ROOT / "benchmarks" / f"{name}.yaml"), costs)
        seconds = [value for value, _ in cells]
        spans = [words(makespan(seconds, workers)) for workers in WORKERS]
        known = sum(measured for _, measured in cells)
        rows.append([name, len(cells), f"{known} of {len(cells)}", words(sum(seconds)), *spans, words(max(seconds))])
    head = ["suite", "cells", "measured", "CPU time", *(f"{n} workers" if n > 1 else "1 worker" for n in WORKERS)]
    methods = sorted({method for method, _, tier in costs.discovery if tier == "quick"})
    medians = {
        method: statistics.median(v for (m, _, t), v in costs.discovery.items() if (m, t) == (method, "quick"))
        for method in methods
    }
    return "\n".join(
        [
            "# How long a grid takes",
            "",
            "Written by `python docs/costs.py` from the costs in `results/runs`; do not edit. All are seconds of "
            "CPU on one thread of one kind of processor (two cores, busy with other work). A worker is one such core.",
            "",
            table([*head, "longest cell"], rows),
            "",
            "Each free worker takes the longest cell that is left; taken in the order of the suite, as workers do, the "
            "end comes later by the longest cell at most. *Measured*: cells whose discovery was measured on their own "
            "checkpoint and budget; the others have the median of their method on other checkpoints, or at standard "
            f"{BUDGET} times the discovery at quick, which is what the protocol allows in images. Calibration and "
            "default metrics are those of the checkpoint, or the median of all. Loading adds some three seconds.",
            "",
            "The last column bounds every grid: more workers than CPU time divided by it gain nothing.",
            "",
            "**GPUs.** No cell was measured on one here, so this page gives no number for them. A worker may be a GPU: "
            "where one cell takes *s* times less on it, 1, 8 and 64 GPUs take the times above divided by *s*. Measure "
            "*s* with one learned cell: `gdbench run --gan sngan --method voynov --device cuda`, and the same with "
            "`--device cpu --threads 1`; `costs` of both records hold the seconds. Networks this small do not fill a "
            "large GPU, and several workers can share one.",
            "",
            "## A cell at quick",
            "",
            f"Calibration and default metrics: {costs.evaluation['']:.0f} s for 32 directions. Discovery:",
            "",
            table(["method", "s"], [[method, f"{medians[method]:.0f}"] for method in methods]),
            "",
        ]
    )


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all but the first column stand right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
