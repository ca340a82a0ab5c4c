"""What a stranger's run folder holds beside its record: spoiled copies give an answer or one line that names the file.

Hashes tell accidents; whoever makes a folder on purpose makes the hashes, too.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gdbench import IntegrityError
from gdbench.directions import load_directions
from gdbench.evaluation.calibration import Calibration
from gdbench.evaluation.pictures import read_atlas
from gdbench.runs.tables import read_tables
from tests.weights.test_fuzz import spoiled

ROOT = Path(__file__).parents[2]
COPIES, SEED, SECONDS = 150, 29, 10.0
READERS: dict[str, Callable[[Path], Any]] = {
    "directions.safetensors": lambda folder: load_directions(folder, frozenset({"gdbench"})),
    "directions.json": lambda folder: load_directions(folder, frozenset({"gdbench"})),
    "calibration.safetensors": Calibration.load,
    "calibration.json": Calibration.load,
    "tables.parquet": read_tables,
    "strips.webp": lambda folder: read_atlas(folder / "strips.webp"),
}


@pytest.mark.parametrize("name", READERS)
def test_spoiled_files_of_a_run_give_an_answer_or_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = (ROOT / "results" / "runs").glob("sngan-scenes32-random-s0-*")
    shutil.copytree(next(run for run in runs if (run / "tables.parquet").exists()), tmp_path / "run")
    folder, read, lines = tmp_path / "run", READERS[name], list[str]()
    good, rng = (folder / name).read_bytes(), np.random.Generator(np.random.Philox(key=SEED))
    read(folder)
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(COPIES):
        (folder / name).write_bytes(spoiled(good, rng))
        try:
            read(folder)
        except IntegrityError as error:
            lines.append(str(error))
    seconds = time.process_time() - start
    with capsys.disabled():
        print(f"\nfuzz {name}: {COPIES} copies, seed {SEED}: {len(lines)} refused, others read; {seconds:.1f} CPU s")
    assert lines
    assert [line for line in lines if "\n" in line or len(line) > 600 or name.partition(".")[0] not in line] == []
    assert seconds < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes
