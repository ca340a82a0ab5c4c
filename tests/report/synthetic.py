"""A small suite made by hand: three methods, a control and a reference on one generator, with tables and strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gdbench import Column
from gdbench.boards.acceptance import Verdicts
from gdbench.boards.board import Leaderboard
from gdbench.boards.leaderboard import leaderboard
from gdbench.boards.rules import Rules
from gdbench.evaluation import pictures
from gdbench.evaluation.calibration import Calibration
from gdbench.record import DISCOVERY, EVALUATION, Cell, Cost, RunRecord, Score
from gdbench.report.evidence import Evidence, evidence
from gdbench.runs.store import RunFolder
from gdbench.runs.tables import write_tables

K = 4
FACTORS = ("hue", "size")
COLUMNS = {
    "known": (
        Column("reach", "how many are found", ranked=True, range=(0, 1), brief=True),
        Column("purity", "how purely", ranked=True, range=(0, 1), brief=True),
        Column("both", "the two together", ranked=True, range=(0, 1), headline=True),
        Column("untried", "a column that must not rank", ranked=True),
    ),
    "effort": (Column("images", "what it rendered", "lower", range=(0, None), brief=True),),
}
RULES = Rules(baselines=frozenset({"chance"}), verdicts=Verdicts({("known", "untried"): "it cannot tell copies"}))
METHODS = {"alpha": 0.6, "beta": 0.4, "chance": 0.2, "taught": 0.7}
ROLES = {"chance": "control", "taught": "reference"}


def record(method: str, seed: int, value: float | None, status: str = "done", k: int = K) -> RunRecord:
    versions = {"discovery": DISCOVERY, "evaluation": EVALUATION, "generator": 1, "method": 1, "domain": 1}
    number = Score(None, "nothing could be told") if value is None else Score(value)
    known = {"reach": number, "purity": Score(0.5 + 0.01 * seed), "both": number, "untried": Score(0.1)}
    done = status == "done"
    return RunRecord(
        id=f"gan-small-{method}-s{seed}-k{k}",
        cell=Cell("gan", "small", method, seed, k, "z", "standard", {"psi": 1.0}, {"steps": 10}),
        status=status,  # type: ignore[arg-type]
        reason="" if done else "it broke",
        role=ROLES.get(method, "method"),
        domain="balls",
        distance="d",
        versions={**versions, "metric:known": 1, "metric:effort": 1},
        scores={"known": known, "effort": {"images": Score(1000.0)}} if done else {},
        costs={"discover": Cost(images=1000 * len(method), cpu_seconds=60.0)} if done else {},
        environment={"python": "3.11.7", "commit": "abc123", "changed": False},
        command=f"gdbench run --gan gan --method {method} --seed {seed}",
        date="2026-01-02T03:04:05+00:00",
    )


def suite() -> list[RunRecord]:
    """Three seeds of each, one that failed, and a method with a void seed."""
    made = [record(method, seed, at + 0.01 * seed) for method, at in METHODS.items() for seed in range(3)]
    made += [record("gamma", seed, value) for seed, value in enumerate((0.3, None, 0.31))]
    return [
        *made,
        record("delta", 0, None, status="failed"),
        record("alpha", 0, 0.5, k=8),
        record("chance", 0, 0.2, k=8),
    ]


def write_folder(folder: Path, made: RunRecord) -> RunRecord:
    """Tables, calibration and strips of a run that is done, and its record."""
    folder.mkdir(parents=True)
    if made.status == "done":
        shares = np.linspace(0.1, 0.8, K)
        nan = float("nan")
        table = pd.DataFrame(
            {
                "share:hue": shares,
                "best:hue": [*[nan] * (K - 1), 0.75],
                "share:size": shares[::-1] / 2,
                "best:size": [0.35, *[nan] * (K - 1)],
                "void:texture:steering": [nan] * K,
                "plus": ["turns hue"] * K,
            }
        )
        write_tables(folder, {"known": table})
        change = torch.tensor([0.0, 0.2, 0.5]).expand(K, 2, 3).clone()
        change[1] *= 0.1  # direction 1 is dead
        points = torch.tensor([0.0, 1.0, 2.0]).expand(K, 2, 3).clone()
        each = torch.ones(K, 2)
        Calibration(points, change, 2 * each, 0 * each, each, 1.0).save(folder)
        tiles = np.random.default_rng(0).integers(0, 256, (K * 10, 16, 16, 3), dtype=np.uint8)  # large when compressed
        (folder / "strips.webp").write_bytes(pictures._webp(tiles, pictures.Atlas(K, 2, 5, 16, 16), 80))
    return RunFolder(folder).write(made)


def made_in(folder: Path) -> list[Evidence]:
    """The evidence of the suite, from folders."""
    places = [(folder / f"r{number}", one) for number, one in enumerate(suite())]
    return [evidence(write_folder(place, one), place) for place, one in places]


def board_of(runs: Sequence[Evidence], text: str | None = None) -> Leaderboard:
    """The board of runs. text: what strangers wrote in the columns and the verdict, if anything."""
    records = [one.record for one in runs]
    if text is None:
        return leaderboard(records, COLUMNS, RULES)
    rules = replace(RULES, verdicts=Verdicts({("known", "untried"): text}))
    return leaderboard(records, hostile_columns(text), rules)


def hostile_columns(text: str) -> dict[str, tuple[Column, ...]]:
    """The columns with ``text`` as what they say."""
    return {
        metric: tuple(replace(column, summary=text, unit=text) for column in own) for metric, own in COLUMNS.items()
    }


def hostile(one: Evidence, text: str) -> Evidence:
    """A run in which all that strangers write is ``text``; methods stay apart."""
    made = one.record
    cell = replace(
        made.cell,
        generator=text,
        checkpoint=text,
        space=text,
        method=text if made.cell.method == "alpha" else made.cell.method + text,
        generator_params={text: text},
        method_params={text: text},
    )
    known = {**made.scores.get("known", {}), "both": Score(None, text or "void")} if made.cell.seed == 2 else None
    changed = replace(
        made,
        id=f"{text}{made.id}",
        cell=cell,
        reason=text,
        domain=text,
        command=text,
        date=text,
        checkpoint_status=text or "preview",
        checkpoint_lacks=text,
        environment={text: text, "commit": text},
        files={text: text},
        scores={**made.scores, "known": known} if known and made.scores else made.scores,
        costs={text: Cost()} | dict(made.costs),
    )
    directions = tuple(
        replace(direction, shares={text + factor: share for factor, share in direction.shares.items()}, plus=text)
        for direction in one.directions
    )
    best = {text + factor: found for factor, found in one.best.items()}
    return replace(one, record=changed, directions=directions, best=best, gates={text: text})
