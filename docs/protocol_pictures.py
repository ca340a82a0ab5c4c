"""The picture of docs/protocol.md: calibration, drawn from a committed run. ``python docs/protocol_pictures.py``.

Above, curves of visible change over the length of the shift, with the magnitudes that the protocol takes; below, one
image edited by them. Nothing is discovered or calibrated anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

DOCS = Path(__file__).parent
RUN = "sngan-scenes32-ganspace-s0-d9c6f3a8"
PICTURE = DOCS / "pictures" / "calibration.png"
STRONG, WEAK, DEAD = 0, 11, 12
"""Directions of the run: the first, the last that is alive, and the first that is dead."""
COLOURS = {STRONG: "tab:blue", WEAK: "tab:green", DEAD: "tab:red"}


def curves(axes: Any, calibration: Any, taus: tuple[float, ...]) -> None:
    """Visible change over magnitude, direction + of each; crosses where tau is reached."""
    for k, colour in COLOURS.items():
        name = f"direction {k}" + (": dead" if calibration.dead[k, 0] else "")
        axes.plot(calibration.magnitudes[k, 0], calibration.change[k, 0], "-", color=colour, label=name)
        for tau in taus:
            axes.plot(calibration.magnitude(tau)[k, 0], tau, "x", color=colour)
    for tau in taus:
        axes.axhline(tau, color="grey", linewidth=0.7, linestyle="-" if tau == 0.3 else ":")
    axes.set(xlim=(0, 12.3), ylim=(0, 0.75), yticks=(0, *taus, 0.6), ylabel="visible change τ")
    axes.set_xlabel("magnitude t, in standard deviations of the prior; a curve ends at 12")
    axes.legend(loc="upper right")


@torch.no_grad()
def strips(axes: Any, run: Any, calibration: Any, taus: tuple[float, ...]) -> None:
    """A row for each direction: the image, then edited by t of each tau; of the dead one, at the end of its range."""
    import gdbench

    generator = gdbench.load_generator(run.record.cell.generator)
    code = generator.sample(1, "z", gdbench.Stream(3, "pictures").at())
    for row, (k, colour) in zip(axes, COLOURS.items(), strict=True):
        reach = [0.0, *(float(calibration.usable(tau)[k, 0]) for tau in taus)]
        for cell, tau, t in zip(row, (0, *taus), reach, strict=True):
            edited = run.directions.displace(code, torch.tensor([k]), torch.tensor([t]))
            image = (generator.render(edited)[0].clamp(-1, 1) + 1) / 2
            cell.imshow(image.permute(1, 2, 0), interpolation="nearest")
            ends = tau and float(calibration.change[k, 0, -1]) < tau
            cell.set_title(
                "unedited" if not tau else f"τ = {tau:.2f}: t {'ends' if ends else f'= {t:.1f}'}", fontsize=7
            )
            cell.set(xticks=(), yticks=())
        row[0].set_ylabel(f"direction {k}", color=colour)


def main() -> None:
    """Draw it."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    import gdbench
    from gdbench.evaluation.calibration import TAUS
    from gdbench.files import atomic_write

    run = gdbench.read_run(DOCS.parent / "results" / "runs" / RUN)
    calibration = gdbench.Calibration.load(run.folder)
    figure: Any = pyplot.figure(figsize=(10, 4), dpi=100, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(5, 4))
    curves(left.subplots(), calibration, TAUS)
    strips(right.subplots(len(COLOURS), len(TAUS) + 1), run, calibration, TAUS)
    with atomic_write(PICTURE) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    print(PICTURE)


if __name__ == "__main__":
    sys.exit(main())
