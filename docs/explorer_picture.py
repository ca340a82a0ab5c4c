"""Draws the picture of docs/explorer.md in a headless chromium: ``python docs/explorer_picture.py``."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from gdbench.explorer.making import explorer_of
from gdbench.registry import load_registry

ROOT = Path(__file__).parent.parent
RUNS = ("stylegan2-scenes32-voynov-s0-12190b33", "stylegan2-scenes32-jacobian-s0-7d34f471")
STATE = "#n=6&c=4&r=0,1&a=1:0.3&b=11:0.45&f=1,11&star=0.1,1.11"
WIDTH, HEIGHT = 1400, 900


def draw(to: Path) -> None:
    """Write the explorer of two committed runs as it is seen first, in 256 colours."""
    sys.path.insert(0, str(ROOT))
    from tests.browser import address, browser

    page_text = explorer_of([ROOT / "results" / "runs" / run for run in RUNS], load_registry()).text
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        path = Path(folder) / "explore.html"
        path.write_text(page_text, encoding="utf-8")
        page = chromium.open(address(path) + STATE, WIDTH, HEIGHT)
        page.until("document.querySelector('canvas[data-drawn]') && !document.body.dataset.busy", 90)
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(to, optimize=True)


if __name__ == "__main__":
    draw(ROOT / "docs" / "pictures" / "explorer.png")
