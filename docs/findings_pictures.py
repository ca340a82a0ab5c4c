"""The pictures of docs/findings.md, drawn from the same records: see findings.py."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from findings_runs import RANDOM, SUPERVISED, Group, counted, first_k, numbers

from gdbench.evaluation.pictures import strip
from gdbench.files import atomic_write
from gdbench.record import RunRecord
from gdbench.runs.tables import read_tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#4aa3df", "#7b3fa0", "#8c564b", "#111111", "#5f8a00")
"""One a method, the same in every picture; told apart by colour-blind readers too, and every line bears its name."""
STRIPS = 4
"""Methods beside the supervised reference in the picture of strips: those of the largest F1."""


def scatter(groups: Sequence[Group], path: Path) -> None:
    """Precision over recall: a method's seeds joined, random a grey cross, the supervised reference dotted lines."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    colours = _colours(groups)
    figure, axes = pyplot.subplots(1, len(groups), figsize=(5.2 * len(groups), 4.4), dpi=110, layout="constrained")
    for axis, group in zip(np.atleast_1d(axes), groups, strict=True):
        names: dict[str, tuple[float, float]] = {}
        for method in group.methods:
            recall, precision = (np.array(group.column(method, name)) for name in ("recall", "precision"))
            if method == RANDOM:
                axis.axvspan(recall.min(), recall.max(), color="0.9", zorder=0)
                axis.axhspan(precision.min(), precision.max(), color="0.9", zorder=0)
                axis.plot(recall.mean(), precision.mean(), "x", color="0.35", markersize=10, label="random")
            elif method == SUPERVISED:
                axis.axvline(recall.mean(), ls=":", color="k", lw=1)
                axis.axhline(precision.mean(), ls=":", color="k", lw=1, label="supervised (K = J)")
            elif group.runs[method][0].role != "method":
                continue
            else:
                colour = colours[method]
                axis.plot(recall, precision, "-o", color=colour, markersize=3.5, lw=0.8, alpha=0.75)
                axis.plot(recall.mean(), precision.mean(), "o", color=colour, markersize=8)
                names[method] = (float(recall.mean()), float(precision.mean()))
        axis.set(title=f"{group.name}, 10⁵ images, K = 32", xlabel="recall of known factors", ylabel="precision")
        figure.draw_without_rendering()  # so that places on paper are known
        _name(axis, names, colours)
        axis.legend(fontsize=8, loc="upper left")
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)


def _name(axis: Axes, places: dict[str, tuple[float, float]], colours: dict[str, str]) -> None:
    """Write each name in its colour at the first place near its point that is free of names and of other points."""
    from matplotlib.patheffects import withStroke

    scale = 72 / axis.figure.dpi
    points = {name: axis.transData.transform(place) * scale for name, place in places.items()}
    taken = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points.values()]
    ends = axis.bbox.x0 * scale, axis.bbox.x1 * scale
    for name, (x, y) in sorted(points.items(), key=lambda pair: pair[1][1]):
        width = 4.6 * len(name)
        for line, side in itertools.product(LINES, (DOT, -DOT - width)):
            left, low = x + side, y + line * LINE
            right, high = left + width, low + LINE
            inside = ends[0] < left and right < ends[1]
            if inside and not any(left < r and x0 < right and low < t and y0 < high for x0, y0, r, t in taken):
                break
        taken.append((left, low, right, high))
        shown = axis.annotate(name, places[name], (side, line * LINE), textcoords="offset points", fontsize=8)
        shown.set(color=colours[name], path_effects=[withStroke(linewidth=2, foreground="white", alpha=0.7)])


DOT = 5.0
"""Points (1/72 inch) from the middle of a point to where its name may begin."""
LINES = (0.4, -1.2, 1.4, -2.2, 2.4, -3.2, 3.4)
"""Lines that a name may stand above its point, tried in this order; the last where none is free."""
LINE = 9.0
"""Points from one line of a name to the next."""


def _colours(groups: Sequence[Group]) -> dict[str, str]:
    """A colour for each method that is no control or reference."""
    names = sorted({name for group in groups for name in group.methods if group.runs[name][0].role == "method"})
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def along_k(groups: Sequence[Group], path: Path) -> None:
    """F1 of the first k directions over k: what the place K = J says beside K = 32, without new runs."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    colours = _colours(groups)
    figure, axes = pyplot.subplots(1, len(groups), figsize=(5.9 * len(groups), 3.9), dpi=110, layout="constrained")
    for axis, group in zip(np.atleast_1d(axes), groups, strict=True):
        for method in group.methods:
            if group.runs[method][0].role != "method" and method not in (RANDOM, SUPERVISED):
                continue
            values, style = first_k(group, method).mean(0), {SUPERVISED: ":", RANDOM: "--"}.get(method, "-")
            axis.plot(
                np.arange(1, len(values) + 1), values, style, color=colours.get(method, "0.4"), label=method, lw=1.4
            )
        axis.axvline(counted(group), color="0.8", lw=0.8, zorder=0)
        axis.set(title=group.name, xlabel="first k directions (line: k = J)", ylabel="F1")
        axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)


def enough(runs: Sequence[RunRecord]) -> bool:
    """Whether there is a curve to draw: a method with three budgets on one generator."""
    points = Counter((run.cell.generator, run.cell.method) for run in runs)
    return any(count > 2 for count in points.values())


def curves(groups: Sequence[Group], runs: Sequence[RunRecord], path: Path) -> None:
    """F1 over rendered images at seed 0, the range of random directions in grey."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    colours = _colours(groups)
    figure, axes = pyplot.subplots(1, len(groups), figsize=(5.2 * len(groups), 3.9), dpi=110, layout="constrained")
    for axis, group in zip(np.atleast_1d(axes), groups, strict=True):
        free = group.column(RANDOM, "F1")
        axis.axhspan(min(free), max(free), color="0.9", zorder=0)
        for method in group.rivals:
            here = group.among(runs, method)
            points = sorted((numbers([run], "cost", "images")[0], numbers([run], "recovery", "F1")[0]) for run in here)
            if len(points) > 1:
                axis.plot(*np.array(points).T, "-o", color=colours[method], markersize=4, lw=1.3, label=method)
        axis.set(title=group.name, xlabel="rendered images", ylabel="F1 of 32 directions", xscale="log")
        if axis.lines:
            axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)


def best_rows(folder: Path) -> dict[str, tuple[int, float]]:
    """Factor -> its best direction and the share that it has on codes which did not choose it."""
    table = read_tables(folder)["recovery"]
    found = {}
    for name in (column for column in table if str(column).startswith("best:")):
        row = int(np.nanargmax(table[name].to_numpy()))
        found[str(name).removeprefix("best:")] = (row, float(table[name][row]))
    return found


def strips(group: Group, path: Path) -> None:
    """Rows: known factors; columns: methods; each cell the strip of the method's best direction with its share."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    methods = [method for method in (SUPERVISED, *group.rivals[:STRIPS], RANDOM) if method in group.runs]
    tables = {method: best_rows(group.pool / group.runs[method][0].id) for method in methods}
    factors = list(next(iter(tables.values())))
    figure, axes = pyplot.subplots(
        len(factors), len(methods), figsize=(2.1 * len(methods), 0.62 * len(factors) + 0.4), dpi=130
    )
    for i, factor in enumerate(factors):
        for j, method in enumerate(methods):
            axis = axes[i, j]
            axis.set_axis_off()
            row, share = tables[method][factor]
            tiles = strip(group.pool / group.runs[method][0].id / "strips.webp", row).tiles
            axis.imshow(np.concatenate(list(tiles[0]), 1), alpha=1.0 if share > 0.3 else 0.45)
            axis.set_title(f"{factor} {share:.2f}" if j == 0 else f"{share:.2f}", fontsize=6, pad=1.5)
            if i == 0:
                axis.text(0.5, 1.75, method, transform=axis.transAxes, ha="center", fontsize=8)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.01, hspace=0.45, wspace=0.04)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)
