"""Do edits of inverted pictures move known factors as edits of samples do?

    python benchmarks/inversion.py        # writes results/inversion.md; some minutes on one core

24 rendered scenes that no generator made become codes of the shipped sngan and stylegan2 (500 steps), and directions of
the committed `oracle-linear` runs edit them. Distance: of the inversion from its picture, as a share of that of two
independent images. Correlation and size: of the mean moves of factors by those edits, beside those of sampled codes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from PIL import Image

import gdbench
from gdbench import Stream
from gdbench.context import SILENT
from gdbench.registry import load_registry
from gdbench.runs.inverting import InvertRequest, run_inversion

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "inversion.md"
PICTURES = 24
RUNS = {
    "sngan": "sngan-scenes32-oracle-linear-s0-a3d94a9b",
    "stylegan2": "stylegan2-scenes32-oracle-linear-s0-aa0e77cc",
}


def pictures(folder: Path) -> tuple[Path, ...]:
    """Scenes as PNG files."""
    images = gdbench.load_domain("scenes").images(PICTURES, Stream(9, "photographs").at())
    paths = []
    for number, image in enumerate(((images.permute(0, 2, 3, 1) + 1) * 127.5).round().byte().numpy()):
        paths.append(folder / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    return tuple(paths)


def row(gan: str, folder: Path) -> str:
    """One line of the table."""
    run = ROOT / "results" / "runs" / RUNS[gan]
    made = run_inversion(InvertRequest(pictures(folder), gan, run=run, out=folder / gan), load_registry(), SILENT)
    assert made.transfer is not None
    distance, psnr = (float(values.median()) for values in (made.result.distance, made.result.psnr))
    cells = [f"{distance:.3f}", f"{psnr:.1f} dB", f"{made.transfer.correlation:.2f}", f"{made.transfer.size:.2f}"]
    return f"| {gan} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, and write the page."""
    torch.set_num_threads(1)
    lines = ["| generator | distance, median | PSNR, median | correlation | size |", "| --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as place:
        lines += [row(gan, Path(place)) for gan in RUNS]
    title, _, about = (__doc__ or "").partition("\n\n")
    gdbench.write_text(OUT, "\n\n".join([f"# {title}", about.strip(), "\n".join(lines)]) + "\n")


if __name__ == "__main__":
    main()
