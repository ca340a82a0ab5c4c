"""The soak: many cells, and at random moments a kill -9 of a bench or of one of its workers, a full disk, a clock that
jumps. At the end the leaderboard must be that of an undisturbed bench, byte for byte. ``make soak``.

Undisturbed cells run one after another in this process, the others in benches of two kinds that share a small disk.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

SUITE = """
name: soak
tier: smoke
k: 4
seeds: {seeds}
metrics: [distinct]
generators: [toy]
methods: [random, coordinate]
"""
METHODS = 2
HOUR = 3600
CLOCK = """
import os, time
shift = float(os.environ.get("SOAK_SHIFT", 0))
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + shift
time.time_ns = lambda: real_ns() + int(shift * 1e9)
"""
"""A ``sitecustomize`` that shifts the clock of every process which is started from now on."""
CHANGED = {"bench": ["--changed"], "work": []}  # so that a changed checkout has runs on its boards too
FORMS = (".json", ".csv", ".md", ".tex")


@dataclass
class Soak:
    """One soak in ``folder``: the disk is ``folder/disk``, the undisturbed runs are in ``folder/calm``."""

    folder: Path
    cells: int
    kills: int
    jobs: int
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    benches: list[subprocess.Popen[bytes]] = field(default_factory=list)
    believed: dict[str, str] = field(default_factory=dict)
    shift: int = 0

    @property
    def suite(self) -> Path:
        """The file of the suite."""
        return self.folder / "soak.yaml"

    @property
    def out(self) -> Path:
        """Where the disturbed runs lie."""
        return self.folder / "disk" / "runs"

    def start(self) -> None:
        """Start what is not running: a bench, and a process that only works."""
        self.benches = [child for child in self.benches if child.poll() is None]
        for command in ("bench", "work") if not self.benches else ("work",) * (len(self.benches) < 2):
            path = os.pathsep.join(filter(None, (str(self.folder / "clock"), os.environ.get("PYTHONPATH"))))
            self.benches.append(
                subprocess.Popen(
                    self.command(command),
                    env={**os.environ, "PYTHONPATH": path, "SOAK_SHIFT": str(self.shift)},
                    stdout=subprocess.DEVNULL,
                    stderr=(self.folder / "benches.log").open("ab"),
                    start_new_session=True,
                )
            )
            self.counts["benches started"] += 1

    def command(self, name: str) -> list[str]:
        """The command line of a bench."""
        options = ["--out", str(self.out), "--jobs", str(self.jobs), "--threads", "1"]
        return [sys.executable, "-m", "gdbench", name, str(self.suite), *options, *CHANGED[name]]

    def look(self) -> int:
        """How many cells are done; counts those that were done before and are not as they were."""
        found = {}
        for path in self.out.glob("*/done"):
            with suppress(OSError):
                if '"status": "done"' in (path.parent / "record.json").read_text():
                    found[path.parent.name] = path.read_text()
        for name, digest in self.believed.items():
            if found.get(name) != digest:
                self.counts["losses"] += 1
                print(f"lost: {name}", flush=True)
        self.believed = found
        return len(found)

    def kill(self) -> None:
        """Kill -9 one process among benches and workers."""
        parents = [child.pid for child in self.benches if child.poll() is None]
        workers = [pid for parent in parents for pid in children(parent)]
        if not parents:
            return
        victim = self.rng.choice(workers if workers and self.rng.random() < 0.6 else parents)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.counts["kills"] += 1
            self.counts["kills of workers" if victim in workers else "kills of benches"] += 1

    def fill_the_disk(self, seconds: float) -> None:
        """Leave no byte free on the disk for a while."""
        balloon = self.folder / "disk" / "balloon"
        with suppress(OSError), balloon.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        with suppress(OSError), balloon.open("ab", buffering=0) as file:
            while True:
                file.write(b"0")
        free = shutil.disk_usage(balloon).free
        self.counts["full disks"] += 1
        print(f"the disk is full ({free} bytes free)", flush=True)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.5)
            self.start()
        balloon.unlink()

    def jump(self) -> None:
        """The clock of new processes, and the times of all claims, are an hour off from now on."""
        self.shift = self.rng.choice((-HOUR, HOUR))
        for path in (self.out / ".claims").rglob("*"):
            with suppress(OSError):
                os.utime(path, (path.stat().st_mtime + self.shift,) * 2)
        self.counts["clock jumps"] += 1
        print(f"the clock jumps by {self.shift:+} s", flush=True)

    def run(self) -> None:
        """Disturb until all is done; then let a bench finish in peace."""
        moments = sorted((self.rng.uniform(0, 0.9 * self.cells), "kill") for _ in range(self.kills))
        moments += [(self.cells / 3, "disk"), (2 * self.cells / 3, "clock")]
        moments.sort()
        while (done := self.look()) < self.cells:
            self.start()
            time.sleep(self.rng.uniform(0.1, 2.0))
            if moments and done >= moments[0][0]:
                _, what = moments.pop(0)
                {"kill": self.kill, "disk": lambda: self.fill_the_disk(15), "clock": self.jump}[what]()
        for child in self.benches:
            child.wait()
        code = subprocess.run(self.command("bench"), stdout=subprocess.DEVNULL, check=False).returncode
        self.counts["exit code of the last bench"] = code
        self.look()


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that run."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def calm(suite: Path, out: Path) -> None:
    """The same cells, one after another in this process; then their leaderboard."""
    from gdbench.context import SILENT
    from gdbench.registry import load_registry
    from gdbench.runs.pipeline import execute
    from gdbench.runs.planning import plan
    from gdbench.runs.suite import read_suite

    registry = load_registry()
    for request in read_suite(suite).requests:
        execute(plan(replace(request, out=out, threads=1), registry), registry, SILENT)
    command = [sys.executable, "-m", "gdbench", "bench", str(suite), "--out", str(out), *CHANGED["bench"]]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def boards(out: Path) -> dict[str, str]:
    """Name -> hash of the files of a leaderboard."""
    files = [path for path in (out / "soak").iterdir() if path.suffix in FORMS]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


@contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A small disk of its own at ``folder``; whether there is one, which needs root."""
    folder.mkdir()
    size = f"size={megabytes}m"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "soak", str(folder)], check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def soak(cells: int, kills: int, jobs: int, seed: int, folder: Path) -> Soak:
    """A soak in ``folder``, with the counts of what happened."""
    made = Soak(folder, cells, kills, jobs, random.Random(seed))
    made.suite.write_text(SUITE.format(seeds=list(range(cells // METHODS))))
    (folder / "clock").mkdir()
    (folder / "clock" / "sitecustomize.py").write_text(CLOCK)
    start = time.monotonic()
    calm(made.suite, folder / "calm" / "runs")
    made.counts["seconds undisturbed"] = round(time.monotonic() - start)
    with disk(folder / "disk", 16 + cells // 4) as there:
        if not there:
            raise SystemExit("the soak needs a small disk of its own (mount -t tmpfs): run it as root")
        start = time.monotonic()
        made.run()
        made.counts["seconds disturbed"] = round(time.monotonic() - start)
        made.counts["cells"] = len(made.believed)
        made.counts["files of the leaderboard that differ"] = len(
            set(boards(made.out).items()) ^ set(boards(folder / "calm" / "runs").items())
        )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak and print its counts; exit code 1 where anything was lost or differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        made = soak(given.cells, given.kills, given.jobs, given.seed, Path(folder))
    for name, count in made.counts.items():
        print(f"{name}: {count}")
    wrong = ("losses", "exit code of the last bench", "files of the leaderboard that differ")
    good = len(made.believed) == given.cells and not any(made.counts[name] for name in wrong)
    print(f"losses: {made.counts['losses']}\nleaderboard byte-equal to an undisturbed one: {'yes' if good else 'NO'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
