"""How the settings of `recovery` were chosen: each beside its alternatives, by validity and reseed noise alone.

    python benchmarks/sensitivity.py RUN [RUN ...]        # folders of finished runs; writes results/sensitivity.md

Validity: shares of exact edits of rendered scenes (1 is right; small ones at any tau, since few factors alone can reach
.30: results/ceiling.md), of planted directions of the toy generator (1 too), and what copies of the best direction in
place of the worse half add to F1 (nothing is right). Noise: standard deviation of F1 of the same directions between
evaluation seeds, beside the spread between sets of directions (ICC).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from ceiling import exact_edits
from gdbench_acceptance.lenses import correlation, noise
from gdbench_metrics import factor_gates, matching
from gdbench_metrics.matching import Judged, harmonic, judged
from gdbench_metrics.shares import Contrasts, changes, contrasts
from gdbench_scenes.exact import Exact
from torch import Tensor

import gdbench
from gdbench import Directions, Edits, LinearDirections, Stream, Subject, calibrate, moments

SEEDS = (10, 11, 12)
SAMPLES = 3000
OUT = Path(__file__).parents[1] / "results" / "sensitivity.md"


@dataclass(frozen=True)
class Settings:
    """What can be chosen; the defaults are those of the metric."""

    codes: int = 128
    tau: float = 0.30
    guard: float = 0.25
    cap: bool = True
    turn: bool = True
    contrast: bool = True
    classes: bool = True


SETTINGS: Mapping[str, Settings] = {
    "as frozen": Settings(),
    "64 codes": Settings(codes=64),
    "tau = .15": Settings(tau=0.15),
    "tau = .45": Settings(tau=0.45),
    "no guard": Settings(guard=0.0),
    "guard .5": Settings(guard=0.5),
    "no cap": Settings(cap=False),
    "no reading as a turn": Settings(turn=False),
    "changes from the original": Settings(contrast=False),
    "classes: shared shift not counted": Settings(classes=False),
}


@dataclass(frozen=True)
class Case:
    """Edits of one set of directions, by tau, with the variances of the factors that count."""

    edits: Mapping[float, Edits]
    factors: Sequence[gdbench.Factor]
    variances: Mapping[str, float]

    def tables(self, chosen: Settings, rows: Sequence[int] | None = None) -> list[Judged]:
        """Both halves' tables of shares; ``rows``: which directions, in which order."""
        edits = _first(self.edits[chosen.tau], chosen.codes)
        counted = [factor for factor in self.factors if factor.name in self.variances]
        sides = [edits] if chosen.contrast else [_one_side(edits, side) for side in (0, 1)]
        found = [self._judged(side, counted, chosen) for side in sides]
        scale = 1 if chosen.contrast else 2  # one living side is half a failure, here it is the whole
        tables = [
            Judged(scale * np.mean([f[i].decide for f in found], 0), scale * np.mean([f[i].score for f in found], 0))
            for i in (0, 1)
        ]
        return [table if rows is None else table.first(list(rows)) for table in tables]

    def _judged(self, edits: Edits, counted: Sequence[gdbench.Factor], chosen: Settings) -> list[Judged]:
        parts = [_with(part, chosen) for part in contrasts(edits, self.factors, counted, self.variances)]
        even = torch.arange(len(edits.codes)) % 2 == 0
        one, other = (changes(parts, edits.alive, half) for half in (even, ~even))
        return [judged(one, other, chosen.guard), judged(other, one, chosen.guard)]


def _with(part: Contrasts, chosen: Settings) -> Contrasts:
    if not chosen.turn:
        part = replace(part, turn=None)
    if not chosen.classes and part.factor.kind == "class":
        part = replace(part, shift=torch.zeros_like(part.shift))
    return part


def _first(edits: Edits, n: int) -> Edits:
    base = {name: values[:n] for name, values in edits.base.factors.items()}
    edited = {name: values[:, :, :n] for name, values in edits.edited.factors.items()}
    readings = replace(edits.base, factors=base), replace(edits.edited, factors=edited)
    return replace(edits, codes=edits.codes[:n], base=readings[0], edited=readings[1])


def _one_side(edits: Edits, side: int) -> Edits:
    alive = edits.alive.clone()
    alive[:, 1 - side] = False
    return replace(edits, alive=alive)


def f1(tables: Sequence[Judged], chosen: Settings) -> float:
    """Harmonic mean of recall and precision, with or without the cap."""
    precision = matching.precision if chosen.cap else matching.purity
    return harmonic(*(float(np.mean([f(table) for table in tables])) for f in (matching.recall, precision)))


def subject(generator: gdbench.Generator, directions: Directions, domain: gdbench.Domain, seed: int) -> Subject:
    """Directions calibrated and ready to be edited, under an evaluation seed."""
    prior = moments(generator, directions.space)
    found = calibrate(generator, directions, domain.oracle("a"), prior, Stream(seed, "calibrate"), 64)
    return Subject(generator, directions, found, domain, prior, seed=seed)


def case(of: Subject, variances: Mapping[str, float], taus: Sequence[float]) -> Case:
    """The edits of a subject."""
    assert of.domain is not None
    return Case({tau: of.edits(tau) for tau in taus}, of.domain.factors, variances)


def counted(of: Subject) -> dict[str, float]:
    """The variances of the factors that count."""
    assert of.domain is not None
    numbers = factor_gates.measured(of, of.domain, SAMPLES)
    failed = factor_gates.reasons(of.domain.factors, of.domain.oracle("b").passed, numbers)
    return {f.name: numbers[f"variance:{f.name}"] for f in of.domain.factors if f.name not in failed}


def own_shares(of: Case, chosen: Settings) -> Tensor:
    """The share that each planted direction has on its own factor; rows and factors stand in the same order."""
    names = [factor.name for factor in of.factors]
    places = [names.index(name) for name in names if name in of.variances]
    table = np.mean([half.score for half in of.tables(chosen)], 0)
    return torch.tensor([table[place, j] for j, place in enumerate(places)])


def copies_gain(of: Case, chosen: Settings) -> float:
    """What F1 gains where the worse half of the directions is replaced by copies of the best one."""
    whole = of.tables(chosen)
    order = np.argsort(-np.mean([half.score.max(1) for half in whole], 0), kind="stable")
    rows = [*order[: len(order) // 2], *[order[0]] * (len(order) - len(order) // 2)]
    return f1(of.tables(chosen, rows), chosen) - f1(whole, chosen)


def measured(runs: Sequence[Path]) -> tuple[Case, Case, list[list[Case]]]:
    """Exact scenes, the planted toy, and each run's directions under each seed."""
    taus = sorted({chosen.tau for chosen in SETTINGS.values()})
    cpu = torch.device("cpu")
    scenes, toy = gdbench.load_domain("scenes"), gdbench.load_domain("toy")
    edits, every = exact_edits(Exact(cpu), scenes)
    generator = gdbench.load_generator("toy")
    planted = subject(generator, LinearDirections(generator.planted, "z"), toy, SEEDS[0])  # type: ignore[attr-defined]
    found, known = [], dict[str, dict[str, float]]()
    for folder in runs:
        run = gdbench.read_run(folder)
        cell = run.record.cell
        generator = gdbench.load_generator(cell.generator, cell.checkpoint, **cell.generator_params)
        subjects = [subject(generator, run.directions, scenes, seed) for seed in SEEDS]
        variances = known.setdefault(cell.checkpoint, {}) or counted(subjects[0])
        known[cell.checkpoint] = variances
        found.append([case(each, variances, taus) for each in subjects])
        print(folder.name, flush=True)
    return Case(dict.fromkeys(taus, edits), scenes.factors, every), case(planted, counted(planted), taus), found


def row(name: str, chosen: Settings, exact: Case, toy: Case, runs: Sequence[Sequence[Case]]) -> str:
    """One line of the table."""
    shares, planted = own_shares(exact, chosen), own_shares(toy, chosen)
    groups = [[f1(one.tables(chosen), chosen) for one in group] for group in runs]
    gains = [copies_gain(one, chosen) for group in runs for one in group]
    cells = [f"{float(shares.mean()):.2f}", f"{float(shares.min()):.2f}", f"{float(planted.mean()):.2f}"]
    cells += [f"{max(gains):+.3f}", f"{noise(groups) or math.nan:.4f}", f"{correlation(groups):.3f}"]
    cells += [f"{np.mean(group):.3f}" for group in groups]
    return f"| {name} | {' | '.join(cells)} |"


def main(folders: Sequence[str]) -> None:
    """Measure, and write the page."""
    torch.set_num_threads(1)
    runs = [Path(folder) for folder in folders]
    exact, toy, found = measured(runs)
    records = [gdbench.read_run(folder).record.cell for folder in runs]
    heads = [f"{cell.checkpoint} {cell.method}" for cell in records]
    columns = ["setting", "exact edits, mean", "least", "toy, planted", "copies gain", "s.d. of F1", "ICC", *heads]
    lines = [f"| {' | '.join(columns)} |", "| --- |" + " --- |" * (len(columns) - 1)]
    lines += [row(name, chosen, exact, toy, found) for name, chosen in SETTINGS.items()]
    shares = own_shares(exact, Settings())
    names = [factor.name for factor in exact.factors]
    ceiling = [f"| {name} | {float(share):.2f} |" for name, share in zip(names, shares, strict=True)]
    parts = [
        __doc__ or "",
        "\n".join(lines),
        "\n".join(["| factor | share of its exact edit |", "| --- | --- |", *ceiling]),
    ]
    gdbench.write_text(OUT, "# Settings of recovery, and their alternatives\n\n" + "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
