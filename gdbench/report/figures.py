"""The charts of pages as figures for papers: SVG, PDF and PNG by matplotlib, from the same geometry."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench.errors import UsageError
from gdbench.files import atomic_write
from gdbench.report.charts import Mark, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("svg", "pdf", "png")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#4aa3df", "#7b3fa0", "#8c564b", "#5f8a00", "#c2185b")
"""Told apart by colour-blind readers; every point bears its name besides."""
INK, SOFT, LINE, BAND = "#1b1d21", "#5a6069", "#d5d8dd", "#c3c7cd"
PIXELS, DPI = 96.0, 200
NO_DATE: Mapping[str, Mapping[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


def write_figures(pictures: Mapping[str, Picture], folder: Path) -> list[Path]:
    """Write every picture in all ``KINDS`` into ``folder``. Raises UsageError where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise UsageError("figures need matplotlib: pip install 'gdbench[figures]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    style: Any = {"svg.hashsalt": "gdbench", "font.family": "DejaVu Sans", "text.parse_math": False}
    with matplotlib.rc_context(style):
        for name, picture in pictures.items():
            drawn = figure(picture)
            for kind in KINDS:
                buffer = io.BytesIO()
                drawn.savefig(buffer, format=kind, dpi=DPI, metadata=dict(NO_DATE[kind]))
                with atomic_write(folder / f"{name}.{kind}") as file:
                    file.write(buffer.getvalue())
                written.append(folder / f"{name}.{kind}")
    return written


def figure(picture: Picture) -> Figure:
    """The picture, in its own pixels; text is set as it stands."""
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    made = Figure(figsize=(picture.wide / PIXELS, picture.high / PIXELS))
    axes = made.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.wide)
    axes.set_ylim(picture.high, 0)
    axes.set_axis_off()
    _frame(axes, picture)
    for colour, points in picture.curves:
        _line(axes, points, color=COLOURS[colour], linewidth=1.2, alpha=0.7)
    if picture.path:
        _line(axes, picture.path, color=SOFT, linewidth=1.2, linestyle=":")
    for mark in picture.marks:
        _behind(axes, picture, mark)
    for mark in picture.marks:
        axes.plot(mark.x, mark.y, "o", color=_colour(mark), markersize=6, markeredgecolor="white", markeredgewidth=0.7)
        if mark.led:
            axes.plot([mark.x, mark.label_x], [mark.y, mark.label_y - 4], color=SOFT, linewidth=0.6)
        side = "right" if mark.before else "left"
        said = axes.text(mark.label_x, mark.label_y, mark.label, color=INK, fontsize=8.5, ha=side, parse_math=False)
        said.set_path_effects([withStroke(linewidth=2, foreground="white")])
    return made


def _frame(axes: Axes, picture: Picture) -> None:
    """Bands of the baseline, grid, ticks and names of the axes."""
    from matplotlib.patches import Rectangle

    x, y = picture.x, picture.y
    for left, top, wide, high in picture.bands:
        axes.add_patch(Rectangle((left, top), wide, high, color=BAND, alpha=0.55, linewidth=0))
    for at, text in x.ticks:
        axes.plot([at, at], [y.start, y.stop], color=LINE, linewidth=0.7, zorder=0)
        axes.text(at, y.start + 15, text, color=SOFT, fontsize=8, ha="center")
    for at, text in y.ticks:
        axes.plot([x.start, x.stop], [at, at], color=LINE, linewidth=0.7, zorder=0)
        axes.text(x.start - 6, at + 4, text, color=SOFT, fontsize=8, ha="right")
    axes.plot([x.start, x.start, x.stop], [y.stop, y.start, y.start], color=SOFT, linewidth=0.8)
    middle = (x.start + x.stop) / 2, (y.start + y.stop) / 2
    axes.text(middle[0], picture.high - 8, picture.x_label, color=SOFT, fontsize=9, ha="center", parse_math=False)
    axes.text(
        13, middle[1], picture.y_label, color=SOFT, fontsize=9, ha="center", va="center", rotation=90, parse_math=False
    )


def _behind(axes: Axes, picture: Picture, mark: Mark) -> None:
    """What lies below the point of a mark: the lines of a reference, intervals, seeds."""
    colour = _colour(mark)
    if mark.role == "reference":
        dashed = {"color": colour, "linestyle": "--", "linewidth": 0.8, "alpha": 0.7}
        axes.plot([picture.x.start, picture.x.stop], [mark.y, mark.y], **dashed)  # type: ignore[arg-type]
        if not picture.path and not picture.curves:
            axes.plot([mark.x, mark.x], [picture.y.start, picture.y.stop], **dashed)  # type: ignore[arg-type]
    if mark.cross:
        left, right, low, high = mark.cross
        for xs, ys in (([left, right], [mark.y] * 2), ([mark.x] * 2, [low, high])):
            axes.plot(xs, ys, color=colour, linewidth=1, alpha=0.5)
    for x, y in mark.seeds:
        axes.plot(x, y, "o", color=colour, markersize=3, alpha=0.45, markeredgewidth=0)


def _line(axes: Axes, points: str, **style: Any) -> None:
    """A line through points as an SVG names them."""
    pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
    axes.plot([x for x, _ in pairs], [y for _, y in pairs], **style)


def _colour(mark: Mark) -> str:
    return COLOURS[mark.colour] if mark.role == "method" else SOFT
