"""Checks that docs/findings.py tells: were the settings fair, does the original paper's number come out in kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from findings_runs import intervals
from spaces import numbers

from gdbench.boards.statistics import Interval
from gdbench.record import RunRecord


def said(found: Interval) -> str:
    """``0.216 ± 0.012``; the half width is that of the side that no bound cuts."""
    half = max((abs(found.mean - end) for end in found[1:] if end is not None), default=None)
    return f"{found.mean:.3f}" + ("" if half is None else f" ± {half:.3f}")


def settings(runs: Sequence[RunRecord]) -> str:
    """Each setting of each learned method on the generator that no board shows at that seed; the default first."""
    heads = ["method", "setting", "recall", "precision", "F1", "images"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for method, tried in _tried(runs).items():
        for name, run in tried.items():
            cells = [f"{_number(run, column):.3f}" for column in ("recall", "precision", "F1")]
            lines.append(f"| {method} | {name} | {' | '.join(cells)} | {run.costs['discover'].images} |")
    return "\n".join(lines)


def fairness(runs: Sequence[RunRecord], least: float) -> Iterator[str]:
    """What each method would gain in F1 with the best of the settings tried; ``least`` is what counts as a gain."""
    gains = {
        method: max((_number(run, "F1") - _number(tried[DEFAULT], "F1"), name) for name, run in tried.items())
        for method, tried in _tried(runs).items()
        if len(tried) > 1
    }
    if gains:
        best = [method for method, (gain, _) in gains.items() if gain <= least]
        tried = sum(len(own) for own in _tried(runs).values())
        yield (
            f"Of {len(gains)} learned methods {len(best)} have no setting among {tried} that is better in F1 than the "
            f"default by more than {least:.3f}{': ' * bool(best)}{', '.join(best)}."
        )
        for method, (gain, name) in gains.items():
            if gain > least:
                yield f"{method} gains {gain:.3f} with {name}: its rows on the boards are of the default."


DEFAULT = "default"


def _tried(runs: Sequence[RunRecord]) -> dict[str, dict[str, RunRecord]]:
    """method -> what differs from its first run, which the suite gives the defaults -> run."""
    found: dict[str, dict[str, RunRecord]] = {}
    for run in runs:
        tried = found.setdefault(run.cell.method, {DEFAULT: run})
        usual = tried[DEFAULT].cell.method_params
        changed = [f"`{name}={value}`" for name, value in run.cell.method_params.items() if value != usual[name]]
        tried[", ".join(changed) or DEFAULT] = run
    return found


def _number(run: RunRecord, column: str, metric: str = "recovery") -> float:
    (value,) = numbers([run], metric, column)
    return value


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
