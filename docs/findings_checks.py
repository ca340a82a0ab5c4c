"""Checks that docs/findings.py tells: fair settings, the original paper's number in kind, and where saliency stands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from findings_runs import Group, correlation, intervals, leaders
from scipy.stats import linregress, t
from spaces import numbers

from gdbench.boards.statistics import Interval
from gdbench.params import as_plain, build
from gdbench.record import RunRecord
from gdbench.registry import load_registry

IMAGES, F1 = ("cost", "images"), ("recovery", "F1")
DEFAULT = "default"


def said(found: Interval, digits: int = 3) -> str:
    """``0.216 ± 0.012``; the half width is that of the side that no bound cuts."""
    half = max((abs(found.mean - end) for end in found[1:] if end is not None), default=None)
    return f"{found.mean:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def settings(runs: Sequence[RunRecord]) -> str:
    """Each setting of each learned method on the generator that no board shows at those seeds; the default first."""
    heads = ["method", "setting", "seeds", "recall", "precision", "F1", "images"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for method, tried in _tried(runs).items():
        for name, own in tried.items():
            each = list(own.values())
            means = (np.mean(numbers(each, "recovery", column)) for column in ("recall", "precision", "F1"))
            cells = [" ".join(map(str, sorted(own))), *(f"{mean:.3f}" for mean in means)]
            images = max(run.costs["discover"].images for run in each)
            lines.append(f"| {method} | {name} | {' | '.join(cells)} | {images} |")
    return "\n".join(lines)


def fairness(runs: Sequence[RunRecord], least: float) -> Iterator[str]:
    """What each method would gain in F1 with the best of the settings tried; ``least`` is what counts as a gain.

    A gain is the mean over the seeds that setting and default share.
    """
    compared = {method: tried for method, tried in _tried(runs).items() if len(tried) > 1}
    gains = {
        method: max((_gain(own, tried[DEFAULT]), name) for name, own in tried.items())
        for method, tried in compared.items()
    }
    if gains:
        best = [method for method, (gain, _) in gains.items() if gain <= least]
        named = f" ({', '.join(best)})" if best else ""
        others = sum(len(tried) - 1 for tried in compared.values())
        yield (
            f"For {len(best)} of {len(gains)} learned methods{named} none of the {others} other settings is better in "
            f"F1 than the default by more than {least:.3f}."
        )
        for method, (gain, name) in gains.items():
            if gain > least:
                seeds = len(compared[method][name].keys() & compared[method][DEFAULT].keys())
                over = f"over {seeds} seeds" if seeds > 1 else "at one seed"
                yield f"{method} gains {gain:.3f} with {name} {over}: its rows on the boards are of the default."


def _tried(runs: Sequence[RunRecord]) -> dict[str, dict[str, dict[int, RunRecord]]]:
    """method -> what differs from its defaults -> seed -> run, the default first; no methods without their default."""
    registry, found = load_registry(), dict[str, dict[str, dict[int, RunRecord]]]()
    for run in (run for run in runs if numbers([run], *F1)):
        spec = registry.method(run.cell.method).spec
        usual = as_plain(build(spec.params, spec.tiers.get(run.cell.tier, {}), where=spec.name))
        changed = [f"`{name}={value}`" for name, value in run.cell.method_params.items() if value != usual[name]]
        own = found.setdefault(spec.name, {}).setdefault(", ".join(changed) or DEFAULT, {})
        own[run.cell.seed] = run
    return {name: {DEFAULT: own[DEFAULT], **own} for name, own in found.items() if DEFAULT in own}


def _gain(tried: Mapping[int, RunRecord], default: Mapping[int, RunRecord]) -> float:
    """The mean difference in F1 over the seeds of both; minus infinity where they share none."""
    shared = tried.keys() & default.keys()
    pairs = [numbers([tried[seed], default[seed]], *F1) for seed in shared]
    return float(np.mean([ours - usual for ours, usual in pairs])) if pairs else -math.inf


def doublings(groups: Sequence[Group], runs: Sequence[RunRecord]) -> Iterator[str]:
    """What a doubling of the budget adds to F1: the slope of F1 over log2 of the images, of one run at each budget."""
    for group in groups:
        slopes = []
        for method in group.rivals:
            here = group.among(runs, method)
            if len(here) > 3:
                images, f1 = (np.concatenate([numbers([run], *name) for run in here]) for name in (IMAGES, F1))
                line = linregress(np.log2(images), f1)
                half = float(t.ppf(0.975, len(here) - 2)) * line.stderr
                slopes.append((line.slope, line.slope - half, line.slope + half, method))
        if slopes:
            listed = ", ".join(
                f"{method} {slope:+.3f} ({low:+.3f} to {high:+.3f})"
                for slope, low, high, method in sorted(slopes)[::-1]
            )
            yield f"On {group.name} each doubling of the budget changes F1 by: {listed}."


def paper_rca(runs: Sequence[RunRecord]) -> Iterator[str]:
    """Accuracy at the paper's own shifts: learned as published, with reuse, and random and coordinate directions."""
    names = {"random": "random directions", "coordinate": "axes"}
    scores: dict[str, list[float]] = {}
    for run in runs:
        once = run.cell.method_params.get("reuse") == 1
        name = names.get(run.cell.method, "learned as published" if once else "learned with five pairs an image")
        scores.setdefault(name, []).extend(numbers([run], "rca_paper", "accuracy"))
    scores = {name: found for name, found in scores.items() if found}
    if len(scores) > 2:
        made = intervals(scores)
        listed = ", ".join(f"{name} {said(made[name])}" for name in sorted(made, key=lambda name: -made[name].mean))
        seeds = min(len(found) for found in scores.values())
        yield (
            f"On sngan/mnist32 a reader trained at the paper's own shifts tells 32 directions apart with an accuracy "
            f"of {listed} ({seeds} seeds or more; chance {1 / 32:.3f})."
        )


def saliency(runs: Sequence[RunRecord]) -> str:
    """IoU of each method on each generator, seed by seed, beside the automatic score that chose the direction."""
    heads = ["generator", "directions", "IoU of the seeds", "mean", "automatic scores", "supervised direction"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for generator, methods in _by_generator(runs).items():
        made = intervals({method: numbers(own, "saliency", "IoU") for method, own in methods.items()})
        for method in sorted(made, key=lambda name: -made[name].mean):
            found, scores = (numbers(methods[method], "saliency", column) for column in ("IoU", "score"))
            mark = np.mean(numbers(methods[method], "saliency", "ceiling_supervised"))
            seeds, chosen = (" ".join(f"{value:.2f}" for value in each) for each in (found, scores))
            lines.append(f"| {generator} | {method} | {seeds} | {said(made[method])} | {chosen} | {mark:.2f} |")
    return "\n".join(lines)


def whitened(runs: Sequence[RunRecord], least: float) -> Iterator[str]:
    """Whether methods can be told apart by saliency, and what decides it; ``least`` is the difference that counts."""
    for generator, methods in _by_generator(runs).items():
        scores = {method: numbers(own, "saliency", "IoU") for method, own in methods.items()}
        every = [run for own in methods.values() for run in own]
        iou, score = (numbers(every, "saliency", column) for column in ("IoU", "score"))
        lead, *others = leaders(scores, least)
        verdict = f"{lead} is best" if not others else f"{' and '.join((lead, *others))} cannot be told apart"
        rho = correlation(iou, score)
        within = math.sqrt(np.mean([np.var(found, ddof=1) for found in scores.values()]))
        yield (
            f"On {generator} {verdict}: standard deviation of IoU between seeds {within:.2f}, and of {len(iou)} runs "
            f"{sum(value > FOUND for value in iou)} have an IoU above {FOUND}. Rank correlation of IoU and the "
            f"automatic score of the chosen direction over these runs: {rho}."
        )


def remeasured(runs: Sequence[RunRecord]) -> Iterator[str]:
    """The spread of IoU where the same directions are measured again under other evaluation seeds."""
    found: dict[str, list[float]] = {}
    for run in runs:
        source = str(run.cell.method_params["source"]).rpartition("/")[2]
        found.setdefault(source, []).extend(numbers([run], "saliency", "IoU"))
    for name, values in found.items():
        if len(values) > 2:
            yield (
                f"The directions of `{name}` under {len(values)} evaluation seeds, which draw other codes for the "
                f"choice and train another segmenter: IoU {min(values):.2f} to {max(values):.2f}, standard deviation "
                f"{np.std(values, ddof=1):.2f}."
            )


FOUND = 0.5
"""IoU above which a background direction was found; the supervised one must reach it, or the metric is void."""


def _by_generator(runs: Sequence[RunRecord]) -> dict[str, dict[str, list[RunRecord]]]:
    """GAN/CHECKPOINT -> method -> its runs with a saliency, of generators where two methods have two or more."""
    found: dict[str, dict[str, list[RunRecord]]] = {}
    for run in runs:
        if numbers([run], "saliency", "IoU"):
            name = f"{run.cell.generator}/{run.cell.checkpoint}"
            found.setdefault(name, {}).setdefault(run.cell.method, []).append(run)
    kept = {name: {m: own for m, own in methods.items() if len(own) > 1} for name, methods in found.items()}
    return {name: methods for name, methods in kept.items() if len(methods) > 1}
