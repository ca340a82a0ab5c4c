"""Run folders made by hand on shipped generators: planted directions, a simple calibration, and a table of shares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gdbench import Codes, LinearDirections, Stream, normal
from gdbench.evaluation.calibration import Calibration
from gdbench.files import write_text
from gdbench.protocols import Directions
from gdbench.record import DISCOVERY, EVALUATION, Cell, RunRecord, Score
from gdbench.runs.inverted import CODES, FACTS
from gdbench.runs.store import RunFolder
from gdbench.runs.tables import write_tables
from gdbench.tensors import save_tensors

K = 5
FACTORS = ("hue", "size")
PARAMS: dict[str, dict[str, object]] = {
    "sngan": {"psi": 1.0},
    "stylegan2": {"psi": 1.0, "cutoff": None, "noise": "const"},
    "biggan": {"truncation": 1.0, "eps": None, "up": None},
    "progan": {},
    "toy": {},
}


def planted(dim: int, space: str, seed: int = 0, k: int = K) -> LinearDirections:
    return LinearDirections(normal(Stream(seed, "planted").at(), k, dim), space)


def write_run(
    folder: Path,
    directions: Directions,
    gan: str = "sngan",
    checkpoint: str = "scenes32",
    method: str = "alpha",
    factors: tuple[str, ...] = FACTORS,
    plus: str | Sequence[str] = "does a thing",
) -> Path:
    """A run with a curve of change t -> (t / 4) ** 2, + side longer; the last direction is dead."""
    folder.mkdir(parents=True)
    k = len(directions)
    directions.save(folder)
    points = torch.tensor([0.0, 1.0, 2.0, 4.0]).expand(k, 2, 4).clone()
    points[:, 1] /= 2
    change = (torch.tensor([0.0, 1.0, 2.0, 4.0]) / 4).square().expand(k, 2, 4).clone()
    change[-1] *= 0.1
    each = torch.ones(k, 2)
    Calibration(points, change, 4 * each, 0 * each, each, 1.0).save(folder)
    shares = {f"share:{name}": np.linspace(0.1 + i, 0.8, k) / (1 + i) for i, name in enumerate(factors)}
    write_tables(folder, {"known": pd.DataFrame(shares | {"plus": [plus] * k if isinstance(plus, str) else plus})})
    cell = Cell(gan, checkpoint, method, 3, k, directions.space, "standard", PARAMS[gan], {})
    versions = {"discovery": DISCOVERY, "evaluation": EVALUATION, "generator": 1, "method": 1, "domain": 1}
    scores = {"recovery": {"recall": Score(0.25), "precision": Score(0.5)}}
    record = RunRecord(f"{gan}-{method}-s3", cell, "done", versions=versions, scores=scores)
    RunFolder(folder).write(record)
    return folder


def write_inverted(folder: Path, codes: Codes, weights: str, run: str = "") -> Path:
    """What ``gdbench invert`` leaves of pictures "mine 0.png" on, with codes and fidelity made up."""
    folder.mkdir(parents=True)
    tensors = {"latents": codes.latents} | ({} if codes.labels is None else {"labels": codes.labels})
    save_tensors(folder / CODES, tensors)
    images = [{"file": f"mine {number}.png", "distance": 0.1, "psnr": 30.0 + number} for number in range(len(codes))]
    told = {"weights": weights, "space": codes.space, "run": run, "transfer": None, "images": images}
    write_text(folder / FACTS, json.dumps(told))
    return folder
