"""What ten thousand runs cost: seconds of CPU and memory of list, leaderboard, report, verify and of planning a bench.

The runs are synthetic: records with numbers drawn from a fixed seed under the ids of a suite of all small checkpoints
and methods, and the files of one committed run, linked. Every command is a process of its own. A report has a page for
each run, with its pictures, and is made of the smaller number alone.

    python benchmarks/speed/scale.py [1000 10000]     # writes results/speed/scale.md
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gdbench.files import sha256
from gdbench.record import Cost, RunRecord, Score
from gdbench.registry import Registry, load_registry
from gdbench.runs.environment import cpu_model
from gdbench.runs.pipeline import blank
from gdbench.runs.planning import Plan, plan_all
from gdbench.runs.suite import read_suite

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "results" / "speed" / "scale.md"
TEMPLATE = "sngan-scenes32-random-s0-*"
LINKED = ("directions.safetensors", "directions.json", "discovery.json", "calibration.safetensors", "calibration.json")
LINKED += ("tables.parquet", "strips.webp")
SNGANS = ("scenes32", "scenes32-d32", "scenes32-d64", "mnist32")
GENERATORS = (*(f"{{gan: sngan, checkpoint: {name}}}" for name in SNGANS), "stylegan2", "biggan", "progan")
METHODS = ("random", "coordinate", "duplicated", "dead", "ganspace", "voynov", "latentclr", "disco", "warpedganspace")
METHODS += ("hessian-penalty", "orojar", "jacobian", "local-basis")
SEEDS = 3
MOST_PAGES = 1500
LAUNCH = """
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime} {used.ru_maxrss}")
"""
"""Runs a command and notes what it used; itself small, since the peak of a process counts in its children."""
PLAN = """
import sys
from dataclasses import replace
from pathlib import Path
from gdbench.registry import load_registry
from gdbench.runs.planning import plan_all
from gdbench.runs.pool import is_complete_in_pool
from gdbench.runs.suite import read_suite
registry, pool = load_registry(), Path(sys.argv[2])
plans = plan_all([replace(one, out=pool) for one in read_suite(Path(sys.argv[1])).requests], registry)
print(sum(is_complete_in_pool(made, registry) for made in plans), "of", len(plans), "are done")
"""


@dataclass(frozen=True)
class Measured:
    """One command on one number of runs. said: the first line of what it printed."""

    name: str
    runs: int
    cpu: float
    megabytes: float
    said: str


def suite_of(runs: int) -> str:
    """A suite of about as many runs: the numbers of directions K are what grows."""
    methods = sorted(METHODS)
    ks = range(1, 1 + max(1, round(runs / (len(GENERATORS) * len(methods) * SEEDS))))
    lines = [f"  - {{method: {method}, k: {k}}}" for k in ks for method in methods]
    head = f"name: scale\ntier: quick\nseeds: {list(range(SEEDS))}\ngenerators: [{', '.join(GENERATORS)}]\nmethods:\n"
    return head + "\n".join(lines) + "\n"


def made_up(made: Plan, rng: np.random.Generator) -> RunRecord:
    """A finished record of a plan with scores that nobody measured."""
    scores = {
        offer.spec.name: {
            column.name: Score(round(float(rng.random()), 6), blocks=tuple(rng.random(16).round(6).tolist()))
            for column in offer.spec.columns
        }
        for offer in made.metrics
    }
    versions = {f"metric:{offer.spec.name}": offer.spec.version for offer in made.metrics}
    from gdbench.params import as_plain

    return replace(
        made_blank(made),
        status="done",
        reason="",
        distance="oracle a",
        scores=scores,
        versions={**made.versions, **versions},
        metric_params={name: as_plain(params) for name, params in made.metric_params.items()},
        costs={"discover": Cost(images=1000, cpu_seconds=1.0)},
        environment={"changed": False, "torch": "2"},
    )


def made_blank(made: Plan, known: dict[str, RunRecord] = {}) -> RunRecord:  # noqa: B006
    """``blank`` without asking git anew for each run."""
    if not known:
        known[""] = blank(made)
    first = known[""]
    return replace(
        first,
        id=made.id,
        cell=made.cell,
        role=made.method.spec.role,
        domain=made.domain.spec.name,
        checkpoint_sha256=made.checkpoint.sha256,
        command=made.request.command(),
    )


def fill(pool: Path, suite: Path, registry: Registry) -> int:
    """Write a run folder for every cell of a suite that can meet; returns how many."""
    templates = (ROOT / "results" / "runs").glob(TEMPLATE)
    template = next(path for path in templates if (path / "tables.parquet").exists())
    files = {name: sha256(template / name) for name in LINKED}
    for name in LINKED:
        shutil.copy(template / name, pool / f".{name}")
    rng = np.random.Generator(np.random.Philox(key=5))
    plans = plan_all([replace(one, out=pool) for one in read_suite(suite).requests], registry)
    for made in plans:
        folder = pool / made.id
        folder.mkdir()
        for name in LINKED:
            os.link(pool / f".{name}", folder / name)
        text = replace(made_up(made, rng), files=files).to_json()
        (folder / "record.json").write_text(text)
        (folder / "done").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n")
    return len(plans)


def measured(name: str, runs: int, command: list[str], cwd: Path) -> Measured:
    """CPU seconds and peak memory of a command. Raises SystemExit where it fails."""
    with tempfile.NamedTemporaryFile() as used, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        launched = [sys.executable, "-S", "-c", LAUNCH, used.name, *command]
        subprocess.run(launched, cwd=cwd, stdout=out, stderr=err, check=True)
        code, cpu, kilobytes = used.read().split()
        out.seek(0)
        err.seek(0)
        said, complained = out.read().decode(), err.read().decode()
    if int(code):
        raise SystemExit(f"{name}: {complained[-2000:]}")
    line = next(iter(said.split("\n")), "").strip()
    return Measured(name, runs, float(cpu), float(kilobytes) / 1024, line[:60])


def commands(suite: Path, pool: Path, place: Path) -> Iterator[tuple[str, list[str]]]:
    gdbench = [sys.executable, "-m", "gdbench"]
    yield "`bench`: planning", [sys.executable, "-c", PLAN, str(suite), str(pool)]
    yield "`list runs`", [*gdbench, "list", "runs", "--folder", str(pool), "--json"]
    yield "`leaderboard --suite`", [*gdbench, "leaderboard", str(pool), "--suite", str(suite), "--write"]
    yield "`verify`", [*gdbench, "verify", str(place), "--suites", str(place)]
    if len(list(pool.iterdir())) < MOST_PAGES:
        yield "`report`", [*gdbench, "report", str(pool), "--suite", str(suite), "--out", str(place / "report")]


def all_of(runs: int, registry: Registry) -> list[Measured]:
    with tempfile.TemporaryDirectory() as name:
        place, start = Path(name), time.process_time()
        suite, pool = place / "scale.yaml", place / "runs"
        pool.mkdir()
        suite.write_text(suite_of(runs))
        count = fill(pool, suite, registry)
        print(f"{count} runs made in {time.process_time() - start:.0f} CPU s", flush=True)
        found = []
        for what, command in commands(suite, pool, place):
            found.append(measured(what, count, command, place))
            print(found[-1], flush=True)
        return found


def page(found: list[Measured]) -> str:
    """The table as Markdown."""
    sizes = sorted({one.runs for one in found})
    head = " | ".join(f"{size:,} runs: CPU s | MB" for size in sizes)
    rows = []
    for name in dict.fromkeys(one.name for one in found):
        own = {one.runs: one for one in found if one.name == name}
        cells = [f"{own[size].cpu:.1f} | {own[size].megabytes:.0f}" if size in own else "— | —" for size in sizes]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "# What thousands of runs cost",
            "",
            f"Made by `python benchmarks/speed/scale.py` on {cpu_model()}: synthetic records of a suite of "
            f"{len(GENERATORS)} checkpoints, {len(METHODS)} methods, {SEEDS} seeds and as many K as it takes. Each "
            "command is a process of its own; seconds of CPU, peak memory.",
            "",
            f"| command | {head} |",
            f"| --- |{' ---: | ---: |' * len(sizes)}",
            *rows,
            "",
        ]
    )


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or [1000, 10_000]
    registry = load_registry()
    found = [one for size in sizes for one in all_of(size, registry)]
    if len(sizes) > 1:
        TARGET.write_text(page(found))
    print(page(found))


if __name__ == "__main__":
    main()
