"""The table and the picture of docs/ablation.md, from the archived board of protocol 1. ``python docs/ablation.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd

DOCS = Path(__file__).parent
BOARD = DOCS.parent / "results" / "archive" / "protocol-1" / "latent-ablation.csv"
PAGE, PICTURE = DOCS / "ablation.md", DOCS / "pictures" / "ablation.png"
DIMENSIONS = {"scenes32-d32": 32, "scenes32-d64": 64, "scenes32": 128}
COLUMNS = ("kappa", "disentanglement", "completeness", "rank_image", "alive_share")
COLOURS = {"voynov": "tab:blue", "ganspace": "tab:orange", "random": "grey", "coordinate": "black"}
BLOCK = re.compile(r"(<!-- table: written by docs/ablation.py -->\n).*?(<!-- end of table -->)", re.DOTALL)


def scores() -> pd.DataFrame:
    """A row for each K, d, method and column: mean, interval over seeds and units, seeds there and expected."""
    board = pd.read_csv(BOARD)
    board = board[board["column"].isin(COLUMNS) & (board["metric"] != "calibration")]
    return board.assign(d=board["checkpoint"].map(DIMENSIONS)).set_index(["k", "d", "method", "column"]).sort_index()


def table() -> str:
    """Means, with their intervals in brackets; a cell of fewer seeds than expected says how many."""
    heads = ["K", "d", "method", *COLUMNS]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    frame = scores()
    for k in sorted(set(frame.index.get_level_values("k"))):
        for d in DIMENSIONS.values():
            for method in COLOURS:
                cells = [_cell(frame, (k, d, method, column)) for column in COLUMNS]
                lines.append(f"| {k} | {d} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(frame: pd.DataFrame, key: tuple[int, int, str, str]) -> str:
    if key not in frame.index or pd.isna((score := frame.loc[key])["mean"]):
        return "no run"
    seeds = "" if score["n"] == score["expected"] else f" {score['n']}/{score['expected']}"
    interval = "" if pd.isna(score["low"]) else f" ({score['low']:.3g} to {score['high']:.3g})"
    return f"{score['mean']:.3g}{interval}{seeds}"


def draw() -> None:
    """Three columns over d, for each K: means, and bars from low to high."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    from gdbench.files import atomic_write

    frame, shown = scores(), ("kappa", "disentanglement", "rank_image")
    figure, axes = pyplot.subplots(2, len(shown), figsize=(9, 4.6), dpi=100, layout="constrained", sharex=True)
    for row, k in zip(axes, (8, 32), strict=True):
        for axis, column in zip(row, shown, strict=True):
            for shift, (method, colour) in enumerate(COLOURS.items()):
                line = frame.xs((k, method, column), level=("k", "method", "column"))
                places = [[*DIMENSIONS.values()].index(d) + 0.05 * (shift - 1.5) for d in line.index]
                bars: Any = (line["mean"] - line["low"], line["high"] - line["mean"])
                axis.errorbar(places, line["mean"], bars, color=colour, marker="o", markersize=3, label=method)
            axis.set(title=f"{column}, K = {k}", xticks=range(3), xticklabels=[f"d = {d}" for d in DIMENSIONS.values()])
            axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    axes[0, 0].legend(fontsize=7)
    with atomic_write(PICTURE) as file:
        figure.savefig(file, format="png", metadata={"Software": None})


def main() -> None:
    """Write both."""
    from gdbench import write_text

    write_text(PAGE, BLOCK.sub(lambda found: found[1] + table() + found[2], PAGE.read_text(encoding="utf-8")))
    draw()


if __name__ == "__main__":
    sys.exit(main())
