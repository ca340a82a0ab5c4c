"""The script that measures speed on a GPU works; figures need a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
SCRIPT = (sys.executable, "benchmarks/speed/gpu.py")


def test_every_family_is_measured_in_every_way_but_compiled(tmp_path: Path) -> None:
    """On the processor, with networks of a moment; compiling them takes minutes."""
    options = ("--device", "cpu", "--tiny", "--ways", "32 bits,default layout,16 bits", "--out", str(tmp_path))
    done = subprocess.run((*SCRIPT, *options), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    families = {row["model"].split()[0] for row in rows}
    assert families == {"sngan", "biggan", "progan", "stylegan2", "stylegan3"}
    assert len(rows) == 15
    assert all(row["images/s"] > 0 and row["steps/s"] > 0 and "note" not in row for row in rows), rows
    assert "| stylegan3 16 | 2 | 16 bits |" in (tmp_path / "gpu.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run((*SCRIPT, "--out", str(tmp_path)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "no CUDA device on this machine" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
